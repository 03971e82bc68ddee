// How fast JSON is parsed, by us and (compiled with -DHAVE_JANSSON or -DHAVE_JSON_C) by others:
//     build/bench/json_bench [FILE]; build/bench/json_bench_jansson [FILE]
// Without a file: a list of 2,000 pods of its own making. Prints the size and NAME MB/s; the same
// text is parsed again and again for two seconds.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#ifdef HAVE_JANSSON
#include <jansson.h>
#elif defined HAVE_JSON_C
#include <json-c/json.h>
#else
#include "codec/json.h"
#endif

#define TEXT_MAX ((size_t)256 << 20)

#ifdef HAVE_JANSSON
#define PARSER "jansson"
static bool parse(const char *text, size_t len)
{
    json_t *o = json_loadb(text, len, 0, NULL);
    json_decref(o);
    return o != NULL;
}
#elif defined HAVE_JSON_C
#define PARSER "json-c"
static bool parse(const char *text, size_t len)
{
    struct json_tokener *t = json_tokener_new();
    struct json_object *o = json_tokener_parse_ex(t, text, (int)len);
    bool good = o != NULL;
    json_object_put(o);
    json_tokener_free(t);
    return good;
}
#else
#define PARSER "knarr"
static bool parse(const char *text, size_t len)
{
    struct kn_json *o;
    struct kn_arena *a = kn_arena_new(len, (size_t)1 << 30);
    struct kn_status s = kn_json_parse(a, kn_sv(text, len), NULL, &o);
    bool good = kn_ok(s);
    kn_status_done(&s);
    kn_arena_free(a);
    return good;
}
#endif

static void measure(const struct kn_buf *b)
{
    int64_t begun = kn_mono(), now = begun;
    size_t bytes = 0;
    while (now - begun < 2 * KN_SECOND) {
        if (!parse(b->ptr, b->len)) {
            printf(PARSER " failed\n");
            return;
        }
        bytes += b->len;
        now = kn_mono();
    }
    printf(PARSER " %.0f\n", (double)bytes / 1e6 / ((double)(now - begun) / (double)KN_SECOND));
}

static void make(struct kn_buf *b)
{
    kn_buf_addc(b, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":"
                   "\"1\"},\"items\":[");
    for (int i = 0; i < 2000; i++)
        kn_buf_addf(
            b,
            "%s{\"metadata\":{\"name\":\"web-%d\",\"namespace\":\"default\",\"uid\":\"8e7c1d6a-"
            "0000-4000-8000-%012d\","
            "\"labels\":{\"app\":\"web\",\"pod-template-hash\":\"5d4f8c7b9\"},"
            "\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},"
            "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"nginx\",\"ports\":[{"
            "\"containerPort\":80,\"protocol\":\"TCP\"}],"
            "\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":\"128Mi\"}},\"env\":[{\"name\":"
            "\"TEXT\",\"value\":\"line one\\nline two\"}],"
            "\"terminationMessagePath\":\"/dev/"
            "termination-log\",\"imagePullPolicy\":\"Always\"}],\"restartPolicy\":\"Always\","
            "\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\",\"nodeName\":"
            "\"n1\",\"priority\":0},"
            "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.244.0.%d\",\"conditions\":[{\"type\":"
            "\"Ready\",\"status\":\"True\","
            "\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}],\"qosClass\":"
            "\"Burstable\"}}",
            i ? "," : "", i, i, i % 250);
    kn_buf_addc(b, "]}");
}

int main(int argc, char **argv)
{
    struct kn_buf b = KN_BUF(TEXT_MAX);
    if (argc > 1) {
        struct kn_status s = kn_file_read(argv[1], TEXT_MAX, &b);
        if (!kn_ok(s)) {
            fprintf(stderr, "%s\n", kn_status_text(&s));
            return 1;
        }
    } else {
        make(&b);
    }
    printf("bytes %zu\n", b.len);
    measure(&b);
    kn_buf_done(&b);
    return 0;
}
