#include "meta/validate_testing.h"

#define SUBDOMAIN                                                                                  \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL                                                                                      \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "   \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "     \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

static const char config_map[] =
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a','namespace':'b','uid':'u'}}";

KTEST(checks_metadata_of_a_new_object)
{
    static const struct validate_sample samples[] = {
        {"{}", ""},
        {"{'metadata':{'name':'a.b-c.9'}}", ""},
        {"{'metadata':{'name':null}}",
         "metadata.name: Required value: name or generateName is required"},
        {"{'metadata':{'name':'A_b'}}", "metadata.name: Invalid value: \"A_b\": " SUBDOMAIN},
        {"{'metadata':{'generateName':'x-'}}", ""},
        {"{'metadata':{'generateName':'Xy-'}}",
         "metadata.generateName: Invalid value: \"Xy-\": " SUBDOMAIN},
        {"{'metadata':{'namespace':null}}", "metadata.namespace: Required value"},
        {"{'metadata':{'namespace':'a.b'}}", "metadata.namespace: Invalid value: \"a.b\": " LABEL},
        {"{'metadata':{'labels':{'a':'b','example.com/x':''}}}", ""},
        {"{'metadata':{'labels':{'a b':'c'}}}",
         "metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric "
         "characters, "
         "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  "
         "or "
         "'my.name',  or '123-abc', regex used for validation is "
         "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"},
        {"{'metadata':{'labels':{'a':'-'}}}",
         "metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist "
         "of "
         "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
         "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
         "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
        {"{'metadata':{'annotations':{'Example.com/X':'anything at all'}}}", ""},
        {"{'metadata':{'annotations':{'/x':''}}}",
         "metadata.annotations: Invalid value: \"/x\": prefix part must be non-empty"},
        {"{'metadata':{'ownerReferences':[{'apiVersion':'apps/"
         "v1','kind':'X','name':'y','uid':'z'}]}}",
         ""},
        {"{'metadata':{'ownerReferences':[{'apiVersion':'a/b/c'}]}}",
         "metadata.ownerReferences[0].apiVersion: Invalid value: \"a/b/c\": must be "
         "<group>/<version> or "
         "<version>, metadata.ownerReferences[0].kind: Required value: must not be empty, "
         "metadata.ownerReferences[0].name: Required value: must not be empty, "
         "metadata.ownerReferences[0].uid: Required value: must not be empty"},
        {"{'metadata':{'ownerReferences':[{'apiVersion':'v1','kind':'Event','name':'y','uid':'z'}]}"
         "}",
         "metadata.ownerReferences[0]: Invalid value: "
         "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"name\":\"y\",\"uid\":\"z\"}: /v1, Kind=Event "
         "is "
         "disallowed from being an owner"},
        {"{'metadata':{'finalizers':['example.com/a','orphan']}}", ""},
        {"{'metadata':{'finalizers':['odd']}}", "metadata.finalizers[0]: Invalid value: \"odd\": "
                                                "name is neither a standard finalizer name nor "
                                                "is it fully qualified"},
        {"{'metadata':{'finalizers':['foregroundDeletion','orphan']}}",
         "metadata.finalizers: Invalid value: [\"foregroundDeletion\",\"orphan\"]: finalizer "
         "orphan and "
         "foregroundDeletion cannot be both set"},
    };
    VALIDATE_CREATE("v1", "ConfigMap", config_map, samples);
}

KTEST(keeps_what_an_update_may_not_change)
{
    static const struct validate_sample samples[] = {
        {"{'metadata':{'labels':{'a':'b'}}}", ""},
        {"{'metadata':{'uid':'v'}}", "metadata.uid: Invalid value: \"v\": field is immutable"},
        {"{'metadata':{'name':'c'}}", "metadata.name: Invalid value: \"c\": field is immutable"},
        {"{'metadata':{'namespace':'c'}}",
         "metadata.namespace: Invalid value: \"c\": field is immutable"},
        {"{'metadata':{'creationTimestamp':'2020-01-01T00:00:00Z'}}",
         "metadata.creationTimestamp: Invalid value: \"2020-01-01T00:00:00Z\": field is immutable"},
    };
    VALIDATE_UPDATE("v1", "ConfigMap", config_map, samples);
}

KTEST(gives_no_new_finalizer_to_an_object_that_is_going)
{
    static const struct validate_sample samples[] = {
        {"{'metadata':{'finalizers':[]}}", ""},
        {"{'metadata':{'finalizers':['a/b','c/d']}}",
         "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being "
         "deleted, "
         "found new finalizers []string{\"c/d\"}"},
    };
    VALIDATE_UPDATE("v1", "ConfigMap",
                    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a','namespace':'b',"
                    "'deletionTimestamp':'2020-01-01T00:00:00Z','finalizers':['a/b']}}",
                    samples);
}

KTEST(names_by_the_rule_of_the_kind)
{
    static const struct validate_sample dotted[] = {
        {"{'metadata':{'name':'a.b'}}", "metadata.name: Invalid value: \"a.b\": " LABEL},
        {"{'metadata':{'namespace':'x'}}",
         "metadata.namespace: Forbidden: not allowed on this type"},
    };
    VALIDATE_CREATE("v1", "Namespace",
                    "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'a'}}", dotted);
    static const struct validate_sample roles[] = {
        {"{'metadata':{'name':'system:Node/x'}}",
         "metadata.name: Invalid value: \"system:Node/x\": may not contain '/'"},
        {"{'metadata':{'name':'system:Node'}}", ""},
    };
    VALIDATE_CREATE("rbac.authorization.k8s.io/v1", "ClusterRole",
                    "{'apiVersion':'rbac.authorization.k8s.io/"
                    "v1','kind':'ClusterRole','metadata':{'name':'a'}}",
                    roles);
}

KTEST(limits_the_size_of_annotations)
{
    struct kn_buf text = KN_BUF(1 << 20);
    kn_buf_addc(&text, "{'metadata':{'annotations':{'a':'");
    for (size_t i = 0; i < (256 << 10); i++)
        kn_buf_add_byte(&text, 'x');
    kn_buf_addc(&text, "'}}}");
    const struct validate_sample samples[] = {
        {kn_buf_cstr(&text), "metadata.annotations: Too long: may not be more than 262144 bytes"}};
    VALIDATE_CREATE("v1", "ConfigMap", config_map, samples);
    kn_buf_done(&text);
}

KTEST_MAIN(KTEST_CASE(checks_metadata_of_a_new_object),
           KTEST_CASE(keeps_what_an_update_may_not_change),
           KTEST_CASE(gives_no_new_finalizer_to_an_object_that_is_going),
           KTEST_CASE(names_by_the_rule_of_the_kind), KTEST_CASE(limits_the_size_of_annotations))
