/* fuzz_connect: what CONNECT's JSON says is what jansson reads in it. Names that come twice are left out of the
 * comparison: there a later null does not take back what stands before it. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>

#include "io/wire/json.h"
#include "io/wire/nats.h"
#include "tests/fuzz/fuzz.h"

static bool is_right(json_t *value, const char *type)
{
        return value == NULL || json_is_null(value) || (*type == 'b' && json_is_boolean(value)) ||
               (*type == 't' && json_is_string(value)) || (*type == 'i' && json_is_integer(value)) ||
               (*type == 'a' && (json_is_boolean(value) || json_is_string(value)));
}

static void check_bool(json_t *value, bool ours, bool otherwise)
{
        assert(ours == (json_is_boolean(value) ? json_is_true(value) : otherwise));
}

static void check_text(json_t *value, struct span ours)
{
        uint8_t *text = fuzz_copy(ours);
        ssize_t size = json_unescape(ours, text, ours.size);
        assert(size >= 0);
        assert(span_equal(span_of(text, (size_t)size),
                          json_is_string(value) ? span_of(json_string_value(value), json_string_length(value))
                                                : SPAN_NONE));
        free(text);
}

static bool has_account(json_t *value)
{
        return json_is_true(value) || json_string_length(value) > 0;
}

static void compare(json_t *theirs, const struct nats_connect *ours, bool is_taken)
{
        static const struct {
                const char *name, *type;
        } fields[] = {{"verbose", "b"},       {"pedantic", "b"},     {"echo", "b"},     {"headers", "b"},
                      {"no_responders", "b"}, {"tls_required", "b"}, {"protocol", "i"}, {"name", "t"},
                      {"lang", "t"},          {"version", "t"},      {"user", "t"},     {"pass", "t"},
                      {"auth_token", "t"},    {"nkey", "t"},         {"jwt", "t"},      {"sig", "t"},
                      {"account", "a"},       {"new_account", "a"}};
        for (size_t i = 0; i < array_count(fields); i++)
                if (!is_right(json_object_get(theirs, fields[i].name), fields[i].type)) {
                        assert(!is_taken);
                        return;
                }
        assert(is_taken);
        json_int_t protocol = json_integer_value(json_object_get(theirs, "protocol"));
        check_bool(json_object_get(theirs, "verbose"), ours->verbose, true);
        check_bool(json_object_get(theirs, "pedantic"), ours->pedantic, true);
        check_bool(json_object_get(theirs, "echo"), ours->echo, true);
        check_bool(json_object_get(theirs, "headers"), ours->headers, false);
        check_bool(json_object_get(theirs, "no_responders"), ours->no_responders, false);
        check_bool(json_object_get(theirs, "tls_required"), ours->tls_required, false);
        assert(ours->protocol == (protocol < INT_MIN || protocol > INT_MAX ? INT_MAX : (int)protocol));
        check_text(json_object_get(theirs, "name"), ours->name);
        check_text(json_object_get(theirs, "lang"), ours->lang);
        check_text(json_object_get(theirs, "version"), ours->version);
        check_text(json_object_get(theirs, "user"), ours->user);
        check_text(json_object_get(theirs, "pass"), ours->pass);
        check_text(json_object_get(theirs, "auth_token"), ours->auth_token);
        check_text(json_object_get(theirs, "nkey"), ours->nkey);
        check_text(json_object_get(theirs, "jwt"), ours->jwt);
        check_text(json_object_get(theirs, "sig"), ours->sig);
        assert(ours->has_account == (has_account(json_object_get(theirs, "account")) ||
                                     has_account(json_object_get(theirs, "new_account"))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct nats_connect ours;
        struct span text = span_of(data, size);
        int failed = nats_parse_connect(text, &ours);
        assert(failed == 0 || failed == -EPROTO);
        assert(failed != 0 || json_is_valid(text));
        json_error_t error;
        json_t *theirs = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        if (json_is_object(theirs) && json_is_valid(text))
                compare(theirs, &ours, failed == 0);
        else if (theirs != NULL && !json_is_object(theirs))
                assert(failed != 0);
        json_decref(theirs);
        return 0;
}
