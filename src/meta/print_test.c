#include "meta/print.h"

#include "base/mem.h"
#include "lib/ktest.h"

static const struct {
    const char *api_version, *kind, *object, *cells;
} cases[] = {
    {"v1", "Pod",
     "{'metadata':{'name':'a','creationTimestamp':'2026-01-01T00:00:00Z'},'spec':{'nodeName':'n',"
     "'containers':[{'name':'c'}]},'status':{'phase':'Running','podIPs':[{'ip':'10.0.0.1'}],"
     "'containerStatuses':[{'name':'c','ready':true,'restartCount':2,'state':{'running':{}},'"
     "lastState':"
     "{'terminated':{'finishedAt':'2026-01-01T00:05:00Z'}}}]}}",
     "['a','1/1','Running','2 (5m ago)','10m','10.0.0.1','n','<none>','<none>']"},
    {"v1", "Pod",
     "{'metadata':{'name':'a'},'spec':{'containers':[{'name':'c'}]},'status':{'phase':'Pending',"
     "'containerStatuses':[{'name':'c','state':{'waiting':{'reason':'ImagePullBackOff'}}}]}}",
     "['a','0/1','ImagePullBackOff','0','<unknown>','<none>','<none>','<none>','<none>']"},
    {"v1", "Pod",
     "{'metadata':{'name':'a','deletionTimestamp':'2026-01-01T00:00:00Z'},'spec':{'containers':[{}]"
     "},"
     "'status':{'phase':'Running'}}",
     "['a','0/1','Terminating','0','<unknown>','<none>','<none>','<none>','<none>']"},
    {"v1", "Pod",
     "{'metadata':{'name':'a'},'spec':{'initContainers':[{'name':'i'}],'containers':[{}]},'status':"
     "{'phase':"
     "'Pending','initContainerStatuses':[{'name':'i','state':{'terminated':{'exitCode':1}}}]}}",
     "['a','0/1','Init:ExitCode:1','0','<unknown>','<none>','<none>','<none>','<none>']"},
    {"v1", "Pod",
     "{'metadata':{'name':'a'},'spec':{'containers':[{}]},'status':{'phase':'Succeeded','"
     "containerStatuses':"
     "[{'state':{'terminated':{'exitCode':0,'reason':'Completed'}}}]}}",
     "['a','0/1','Completed','0','<unknown>','<none>','<none>','<none>','<none>']"},
    {"apps/v1", "Deployment",
     "{'metadata':{'name':'d','creationTimestamp':'2026-01-01T00:09:00Z'},'spec':{'replicas':3,'"
     "selector':"
     "{'matchLabels':{'b':'2','a':'1'}},'template':{'spec':{'containers':[{'name':'x','image':'i'},"
     "{'name':"
     "'y','image':'j'}]}}},'status':{'readyReplicas':1,'updatedReplicas':3}}",
     "['d','1/3',3,0,'60s','x,y','i,j','a=1,b=2']"},
    {"v1", "Service",
     "{'metadata':{'name':'s'},'spec':{'type':'NodePort','clusterIP':'10.1.0.1','clusterIPs':['10."
     "1.0.1'],"
     "'ports':[{'port':80,'nodePort':31001,'protocol':'TCP'}]}}",
     "['s','NodePort','10.1.0.1','<none>','80:31001/TCP','<unknown>','<none>']"},
    {"v1", "Node",
     "{'metadata':{'name':'n','labels':{'node-role.kubernetes.io/"
     "control-plane':''}},'spec':{'unschedulable':"
     "true},'status':{'conditions':[{'type':'Ready','status':'True'}],'addresses':[{'type':'"
     "InternalIP',"
     "'address':'1.2.3.4'}],'nodeInfo':{'kubeletVersion':'v1','osImage':'os','kernelVersion':'6',"
     "'containerRuntimeVersion':'crun://1'}}}",
     "['n','Ready,SchedulingDisabled','control-plane','<unknown>','v1','1.2.3.4','<none>','os','6',"
     "'crun://1']"},
    {"v1", "Endpoints",
     "{'metadata':{'name':'e'},'subsets':[{'addresses':[{'ip':'1.1.1.1'},{'ip':'1.1.1.2'},{'ip':'1."
     "1.1.3'},"
     "{'ip':'1.1.1.4'}],'ports':[{'port':80}]}]}",
     "['e','1.1.1.1:80,1.1.1.2:80,1.1.1.3:80 + 1 more...','<unknown>']"},
    {"v1", "Event",
     "{'metadata':{'name':'e'},'involvedObject':{'kind':'Pod','name':'p'},'reason':'R','message':' "
     "m ','type':"
     "'Normal','lastTimestamp':'2026-01-01T00:09:30Z','firstTimestamp':'2026-01-01T00:00:00Z','"
     "count':4,"
     "'source':{'component':'c','host':'h'}}",
     "['30s','Normal','R','pod/p','','c, h','m','10m',4,'e']"},
    {"v1", "ConfigMap", "{'metadata':{'name':'c'},'data':{'a':'b'},'binaryData':{'x':''}}",
     "['c',2,'<unknown>']"},
    {"v1", "LimitRange", "{'metadata':{'name':'l','creationTimestamp':'2026-01-01T00:00:00Z'}}",
     "['l','2026-01-01T00:00:00Z']"},
};

static struct kn_json *parse(struct kn_arena *a, const char *text)
{
    struct kn_sv v = kn_arena_dup(a, kn_sv_c(text));
    struct kn_json *json;
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] == '\'')
            ((char *)(uintptr_t)v.ptr)[i] = '"';
    ktest_ok(kn_json_parse(a, v, NULL, &json));
    return json;
}

KTEST(cells_are_what_upstream_prints)
{
    struct kn_time now;
    ktest_ok(kn_time_parse(KN_SV("2026-01-01T00:10:00Z"), &now));
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20);
        const struct kn_resource *r =
            kn_resource_find_api(kn_sv_c(cases[i].api_version), kn_sv_c(cases[i].kind));
        struct kn_json *cells = kn_print_cells(a, r, parse(a, cases[i].object), now);
        if (kn_json_equal(cells, parse(a, cases[i].cells)))
            continue;
        struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(1 << 20);
        kn_json_encode(&b, cells);
        print_error("%s\ngot  %s\nwant %s\n", cases[i].object, kn_buf_cstr(&b), cases[i].cells);
        ktest_true(false);
    }
}

KTEST(a_table_has_columns_and_rows_with_metadata)
{
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20);
    const struct kn_resource *r = kn_resource_find_api(KN_SV("v1"), KN_SV("Pod"));
    struct kn_json *table = kn_print_table(a, r, KN_SV("v1"));
    ktest_eq_int(kn_json_len(kn_json_get(table, KN_K_columnDefinitions)), 9);
    struct kn_json *row =
        kn_print_row(a, r, parse(a, "{'metadata':{'name':'a'},'status':{'phase':'Failed'}}"),
                     KN_TABLE_METADATA, kn_now());
    ktest_eq_sv(KN_JSON_STR_AT(row, KN_K_object, KN_K_metadata, KN_K_name), "a");
    ktest_eq_int(kn_json_len(kn_json_get(row, KN_K_conditions)), 1);
}

KTEST(durations_are_kubectls)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } ages[] = {{0, "0s"},        {119, "119s"},   {120, "2m"},      {200, "3m20s"},
                {600, "10m"},     {10800, "3h"},   {11000, "3h3m"},  {86400, "24h"},
                {180000, "2d2h"}, {864000, "10d"}, {-5, "<invalid>"}};
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20);
    for (size_t i = 0; i < KN_ARRAY_LEN(ages); i++)
        ktest_eq_sv(kn_print_duration(a, ages[i].seconds), ages[i].text);
}

KTEST_MAIN(KTEST_CASE(cells_are_what_upstream_prints),
           KTEST_CASE(a_table_has_columns_and_rows_with_metadata),
           KTEST_CASE(durations_are_kubectls))
