// A server that answers every GET with a small body, for load generators that we did not write:
//     build/bench/http_bench 8443 1 &          # port, threads; TLS, HTTP/2 and HTTP/1.1
//     h2load -n 1000000 -c 16 -m 32 https://127.0.0.1:8443/
//     h2load --h1 -n 200000 -c 16 https://127.0.0.1:8443/
// With a third argument "plain" it speaks HTTP/1.1 without TLS. It ends when standard input does.
// GET /stream sends 1,000 lines one after another; POST answers with the body's size.
#include <stdio.h>

#include "base/crypto.h"
#include "base/num.h"
#include "wire/http.h"

static const char body[] =
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\"}}\n";

static void handle(struct kn_http_req *r, void *arg)
{
    (void)arg;
    if (kn_sv_is(kn_http_path(r), "/stream")) {
        kn_http_stream_begin(r, 200, NULL, 0, NULL, NULL);
        for (int i = 0; i < 1000; i++)
            kn_http_stream_copy(r, kn_sv_c(body));
        kn_http_stream_end(r);
        return;
    }
    if (kn_sv_is(kn_http_method(r), "POST")) {
        char text[32];
        int n = snprintf(text, sizeof text, "%zu\n", kn_http_body(r).len);
        kn_http_respond_text(r, 200, "text/plain", kn_sv(text, (size_t)n));
        return;
    }
    struct kn_http_header h = {KN_SV("Content-Type"), KN_SV("application/json")};
    struct kn_piece piece = {{body, sizeof body - 1}, NULL, NULL};
    kn_http_respond(r, &(struct kn_http_response){.status = 200, .headers = &h, .headers_len = 1,
                                                  .pieces = &piece, .pieces_len = 1});
}

static struct kn_status identity(struct kn_tls_ctx *tls)
{
    KN_CLEANUP(kn_key_cleanup) struct kn_key *key = NULL;
    KN_CLEANUP(kn_cert_cleanup) struct kn_cert *cert = NULL;
    struct kn_sv ip = KN_SV("127.0.0.1");
    struct kn_cert_info info = {.cn = KN_SV("bench"), .ips = &ip, .ips_len = 1,
                                .not_before = kn_now(),
                                .not_after = {kn_now().ns + 86400 * KN_SECOND}};
    KN_TRY(kn_key_generate(KN_KEY_EC_P256, &key));
    KN_TRY(kn_cert_make_ca(key, &info, &cert));
    struct kn_certs chain = {0};
    kn_certs_add(&chain, cert);
    struct kn_status s = kn_tls_set_identity(tls, &chain, key);
    kn_certs_done(&chain);
    return s;
}

static struct kn_status serve(int64_t port, int64_t threads, bool plain)
{
    struct kn_tls_ctx *tls = NULL;
    struct kn_http_server *s = NULL;
    struct kn_http_config config = {.handle = handle, .threads = (int)threads};
    KN_TRY(kn_tls_server_new(&tls));
    KN_TRY(identity(tls));
    KN_TRY(kn_http_server_new(&config, &s));
    KN_TRY(kn_http_listen_tcp(s, "127.0.0.1", (uint16_t)port, plain ? NULL : tls, NULL));
    KN_TRY(kn_http_server_start(s));
    while (getchar() != EOF)
        ;
    kn_http_server_free(s);
    kn_tls_ctx_free(tls);
    return KN_STATUS_OK;
}

int main(int argc, char **argv)
{
    int64_t port = 8443, threads = 1;
    struct kn_status s = KN_STATUS_OK;
    if (argc > 1)
        s = kn_num_parse(kn_sv_c(argv[1]), 0, 65535, &port);
    if (argc > 2 && kn_ok(s))
        s = kn_num_parse(kn_sv_c(argv[2]), 1, 64, &threads);
    if (kn_ok(s))
        s = serve(port, threads, argc > 3);
    if (kn_ok(s))
        return 0;
    fprintf(stderr, "%s\n", kn_status_text(&s));
    kn_status_done(&s);
    return 1;
}
