// A client certificate for load generators that have no flag for one:
//     LD_PRELOAD=build/bench/libh2load_cert.so BENCH_CERT=admin.crt BENCH_KEY=admin.key h2load ...
// Every TLS context of the process gets it. Declarations instead of OpenSSL's headers, which have
// one home in this tree; the functions are part of its stable interface.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define FILETYPE_PEM 1

extern int SSL_CTX_use_certificate_chain_file(void *ctx, const char *file);
extern int SSL_CTX_use_PrivateKey_file(void *ctx, const char *file, int type);

void *SSL_CTX_new(const void *method);
void *SSL_CTX_new(const void *method)
{
    void *(*next)(const void *) = (void *(*)(const void *))dlsym(RTLD_NEXT, "SSL_CTX_new");
    const char *cert = getenv("BENCH_CERT"), *key = getenv("BENCH_KEY");
    void *ctx = next(method);
    if (ctx && cert && key &&
        (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
         SSL_CTX_use_PrivateKey_file(ctx, key, FILETYPE_PEM) != 1))
        fprintf(stderr, "h2load_cert: %s and %s cannot be used\n", cert, key);
    return ctx;
}
