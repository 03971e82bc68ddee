#include "base/process.h"

#include "lib/ktest.h"

static struct kn_status sh(const char *script, const char *input, struct kn_buf *out,
                           int64_t for_ns)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    return kn_process_run(argv, kn_sv_c(input), out, kn_mono() + for_ns);
}

KTEST(feeds_a_program_and_takes_what_it_says)
{
    struct kn_buf out = KN_BUF(4 << 20);
    ktest_ok(sh("tr a-z A-Z", "hello", &out, 10 * KN_SECOND));
    ktest_eq_str(kn_buf_cstr(&out), "HELLO");
    kn_buf_clear(&out);
    char *much = kn_alloc(1000001); // more than a pipe holds, both ways at once
    memset(much, 'x', 1000000);
    much[1000000] = '\0';
    ktest_ok(sh("cat", much, &out, 10 * KN_SECOND));
    ktest_eq_int(out.len, 1000000);
    free(much);
    kn_buf_done(&out);
}

KTEST(says_how_a_program_failed)
{
    ktest_fails(sh("echo wrong >&2; exit 3", "", NULL, 10 * KN_SECOND), IO,
                "sh failed with exit code 3: wrong");
    ktest_fails(sh("kill -9 $$", "", NULL, 10 * KN_SECOND), IO, "exit code 137");
    const char *const argv[] = {"no-such-program-here", NULL};
    ktest_fails(kn_process_run(argv, KN_SV_NULL, NULL, KN_FOREVER), NOT_FOUND,
                "no-such-program-here");
}

KTEST(kills_a_program_at_its_deadline)
{
    ktest_fails(sh("exec sleep 60", "", NULL, 20 * KN_MILLI), TIMEOUT, "was killed");
}

KTEST(hands_on_exactly_the_descriptors_that_are_named)
{
    struct kn_buf out = KN_BUF(4096);
    int stray = dup(1); // open without close-on-exec, as a careless parent leaves it
    const char *const argv[] = {"ls", "/proc/self/fd", NULL};
    ktest_ok(kn_process_run(argv, KN_SV_NULL, &out, kn_mono() + 10 * KN_SECOND));
    close(stray);
    ktest_eq_str(kn_buf_cstr(&out), "0\n1\n2\n3\n"); // 3 is the folder that ls reads
    kn_buf_done(&out);
}

KTEST_MAIN(KTEST_CASE(feeds_a_program_and_takes_what_it_says),
           KTEST_CASE(says_how_a_program_failed), KTEST_CASE(kills_a_program_at_its_deadline),
           KTEST_CASE(hands_on_exactly_the_descriptors_that_are_named))
