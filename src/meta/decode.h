// Decoding of request bodies: from a JSON tree that a client sent to a tree that matches its type.
// What Go's decoder does for upstream: wrong types are refused with its sentences, members that the
// type does not have are dropped and reported, nulls are dropped, zero values that Go would not
// write are dropped, structs that Go always writes appear (`resources: {}`), quantities and times
// take their canonical form. In place, in the arena of the tree; one thread.
#pragma once
#include "base/arena.h"
#include "codec/json.h"
#include "meta/schema.h"

enum kn_field_validation { KN_FIELDS_WARN, KN_FIELDS_STRICT, KN_FIELDS_IGNORE };
// The query parameter fieldValidation ("" is Warn). KN_BAD_REQUEST for another word.
struct kn_status kn_field_validation_parse(struct kn_sv text, enum kn_field_validation *ret);

// What strict decoding complains about, in the order in which it was found: sentences such as
// `unknown field "spec.foo"` and `duplicate field "spec.replicas"`, at most KN_DECODE_NOTES.
#define KN_DECODE_NOTES 100

struct kn_decode_note {
    struct kn_decode_note *next;
    struct kn_sv text;
};

struct kn_decode_report {
    struct kn_arena *arena; // of the sentences; the caller's
    struct kn_decode_note *first, *last;
    size_t len;
};

void kn_decode_report_init(struct kn_decode_report *r, struct kn_arena *arena);
// To be the `duplicate` function of kn_json_options, with the report as its `arg`.
void kn_decode_duplicate(void *report, struct kn_sv path);
// KN_BAD_REQUEST `strict decoding error: a, b` if there is anything in it.
struct kn_status kn_decode_strict(const struct kn_decode_report *r);

// Checks v against the type and brings it into its stored form. report: may be NULL (nobody asks
// what was dropped). KN_BAD_REQUEST with Go's sentence for a wrong type.
// apiVersion and kind are members like others here: compare them before.
struct kn_status kn_decode(struct kn_arena *a, const struct kn_type *type, struct kn_json *v,
                           struct kn_decode_report *report);

// The whole of what a write does with a body: text, or KN_SYNTAX, to a decoded object of `type`.
// In strict mode what the report holds is the error; in the others it is the caller's to warn of.
// Errors read as upstream's: `Deployment in version "v1" cannot be handled as a Deployment: ...`.
// apiVersion and kind that are absent are filled in; others than the type's are KN_BAD_REQUEST.
struct kn_status kn_decode_body(struct kn_arena *a, const struct kn_type *type, struct kn_sv text,
                                enum kn_field_validation mode, struct kn_decode_report *report,
                                struct kn_json **ret);
