/* fuzz_users: any bytes are a users file, or one fault with its place; the same bytes are the same one, and everyone
 * whom the file names is found by his name. */
#include <errno.h>
#include <stdio.h>

#include "engine/access/users.h"
#include "tests/fuzz/fuzz.h"

static const char name[] = "/nowhere/users";

static void check_fault(const char *error)
{
        unsigned line, column;
        fuzz_check_line(error);
        assert(strncmp(error, name, strlen(name)) == 0);
        assert(sscanf(error + strlen(name), ":%u:%u: ", &line, &column) == 2 && line >= 1 && column >= 1);
}

static void check_users(const struct users *users)
{
        for (uint32_t i = 0; i < users_count(users); i++) {
                const struct user *user = users_at(users, i);
                assert(user->index == i);
                assert(user->name.size >= 1 && user->name.size <= USER_NAME_BYTES_MAX);
                assert(user->name.bytes[user->name.size] == '\0');
                assert(users_find_any(users, user->name) == user);
                assert(users_find(users, user->name) == (user->is_token ? NULL : user));
                assert(user->bcrypt != NULL ? bcrypt_is_valid(span_of_text(user->bcrypt)) : user->is_token);
                if (user->is_token && user->bcrypt == NULL)
                        assert(users_find_digest(users, user->digest) != NULL);
                permissions_may_publish(user->permissions, user->name);
                permissions_may_subscribe(user->permissions, user->name, SPAN("workers"));
        }
        const struct user *guest = users_no_auth(users);
        assert(guest == NULL || users_at(users, guest->index) == guest);
        assert(users_find(users, SPAN("")) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const listeners[] = {"127.0.0.1:4222", "unix:/run/spate.sock"};
        struct permission_sets sets;
        struct users *first, *second;
        char error[OPTIONS_ERROR_BYTES] = "", again[OPTIONS_ERROR_BYTES] = "";
        struct users_context context = {
                .listeners = listeners, .listeners_count = array_count(listeners), .sets = &sets};
        int made = permission_sets_init(&sets, 1);
        assert(made == 0);
        int failed = users_parse(&first, name, span_of(data, size), &context, error);
        int failed_again = users_parse(&second, name, span_of(data, size), &context, again);
        assert(failed == failed_again && strcmp(error, again) == 0);
        assert(failed == 0 || failed == -EINVAL);
        if (failed != 0) {
                check_fault(error);
        } else {
                check_users(first);
                assert(users_count(first) == users_count(second));
                /* Equal sets of permissions are one. */
                for (uint32_t i = 0; i < users_count(first); i++)
                        assert(users_at(first, i)->permissions == users_at(second, i)->permissions);
                users_free(first);
                users_free(second);
        }
        permission_sets_fini(&sets);
        return 0;
}
