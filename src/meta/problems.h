// Everything that is wrong with an object, collected: field path, code, sentence. Upstream's codes
// and wording, because tools match on them (k8s.io/apimachinery field.Error). One thread.
#pragma once
#include "base/arena.h"
#include "base/status.h"

enum kn_problem_type {
    KN_PROBLEM_REQUIRED,      // "Required value"
    KN_PROBLEM_INVALID,       // "Invalid value"
    KN_PROBLEM_DUPLICATE,     // "Duplicate value"
    KN_PROBLEM_NOT_SUPPORTED, // "Unsupported value"
    KN_PROBLEM_FORBIDDEN,     // "Forbidden"
    KN_PROBLEM_TOO_LONG,      // "Too long"
    KN_PROBLEM_TOO_MANY,      // "Too many"
    KN_PROBLEM_NOT_FOUND,     // "Not found"
    KN_PROBLEM_TYPE_INVALID,  // "Invalid value" of the wrong type
    KN_PROBLEM_INTERNAL,      // "Internal error"
};

struct kn_json;

struct kn_problem {
    struct kn_problem *next;
    enum kn_problem_type type;
    struct kn_sv path;  // "spec.template.spec.containers[0].name"
    struct kn_sv value; // as the message shows it ("\"Foo\"", "70000"); empty where none is shown
    struct kn_sv detail;
};

// A path is a chain on the stack, from the field up to the root: building one costs nothing until
// a problem is found.
struct kn_path {
    const struct kn_path *up; // NULL: root
    struct kn_sv name;        // member; or, with is_key, the text in brackets
    int64_t index;            // >= 0: "[index]"
    bool is_key;
};

#define KN_PATH(up_, literal) (&(struct kn_path){(up_), KN_SV(literal), -1, false})
#define KN_PATH_SV(up_, view) (&(struct kn_path){(up_), (view), -1, false})
#define KN_PATH_AT(up_, i) (&(struct kn_path){(up_), KN_SV_NULL, (i), false})
#define KN_PATH_KEY(up_, view) (&(struct kn_path){(up_), (view), -1, true})

#define KN_PROBLEMS_MAX 256 // that are kept and told; further ones are only counted

struct kn_problems {
    struct kn_arena *arena; // of everything here; the caller's
    struct kn_problem *first, *last;
    size_t len; // all, also those that are not kept: 0 means valid
};

void kn_problems_init(struct kn_problems *p, struct kn_arena *arena);
struct kn_sv kn_path_text(struct kn_arena *a, const struct kn_path *path);
// value: already as it is to be shown (kn_problem_quote), or KN_SV_NULL. detail: printf.
void kn_problem_add(struct kn_problems *p, enum kn_problem_type type, const struct kn_path *path,
                    struct kn_sv value, const char *detail, ...)
    __attribute__((format(printf, 5, 6)));
// Text in Go's quotes (%q), as upstream shows string values.
struct kn_sv kn_problem_quote(struct kn_arena *a, struct kn_sv text);
// OK if there are none. Otherwise KN_INVALID with upstream's sentence: `Pod "x" is invalid: ...`
// (several: `[a, b]`), and details (name, group, kind, causes) for the API Status.
struct kn_status kn_problems_status(const struct kn_problems *p, struct kn_sv group,
                                    struct kn_sv kind, struct kn_sv name);
