/* control: see the header. */
#include "engine/admin/control.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/admin/jsontext.h"
#include "engine/postmortem.h"

static bool askers_add(struct control_askers *askers, io_id asker)
{
        if (askers->count == CONTROL_ASKERS_MAX)
                return false;
        askers->ids[askers->count++] = asker;
        return true;
}

/* Frees the text. */
static void askers_tell(struct control_askers *askers, struct reactor *reactor, bool is_done, char *text)
{
        for (unsigned i = 0; i < askers->count; i++)
                admin_done(reactor, askers->ids[i], is_done, text);
        askers->count = 0;
        free(text);
}

bool control_ask_reload(struct control *control, io_id asker)
{
        if (!askers_add(&control->reload, asker))
                return false;
        control->is_reload_asked = true;
        return true;
}

bool control_ask_dump(struct control *control, io_id asker)
{
        return askers_add(&control->dump, asker) && kill(getpid(), SIGUSR1) == 0;
}

int control_ask_drain(void)
{
        return kill(getpid(), SIGTERM) == 0 ? 0 : -errno;
}

static char *outcome_json(const struct reload_outcome *outcome)
{
        json_t *json = json_object();
        if (outcome == NULL) {
                json_object_set_new(json, "result", json_string("nothing"));
                json_object_set_new(json, "reason",
                                    json_string("there is nothing to read again: start with --config FILE or --users "
                                                "FILE"));
        } else if (outcome->is_taken) {
                json_object_set_new(json, "result", json_string("taken"));
                json_object_set_new(json, "options_changed", json_integer(outcome->changes_count));
                if (outcome->has_users)
                        json_object_set_new(json, "users", json_integer((json_int_t)outcome->users_count));
        } else {
                json_object_set_new(json, "result", json_string("refused"));
                json_object_set_new(json, "reason", jsontext_string(span_of_text(outcome->error), false));
        }
        return jsontext_end(json);
}

void control_reloaded(struct control *control, struct reactor *reactor, const struct reload_outcome *outcome)
{
        if (outcome != NULL)
                reactor_note_reload(reactor, outcome->is_taken);
        askers_tell(&control->reload, reactor, outcome != NULL && outcome->is_taken, outcome_json(outcome));
}

void control_dumped(struct control *control, struct reactor *reactor, int failed)
{
        json_t *json = json_object();
        char path[POSTMORTEM_PATH_BYTES];
        const char *reason =
                failed == -ENOTDIR ? "there is no folder for it: start with --postmortem DIR" : strerror(-failed);
        json_object_set_new(json, "result", json_string(failed == 0 ? "written" : "refused"));
        if (failed == 0)
                json_object_set_new(json, "file",
                                    jsontext_string(span_of_text(postmortem_path(POSTMORTEM_ASKED, path)), false));
        else
                json_object_set_new(json, "reason", json_string(reason));
        askers_tell(&control->dump, reactor, failed == 0, jsontext_end(json));
}
