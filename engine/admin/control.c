/* control: see the header. */
#include "engine/admin/control.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/admin/jsontext.h"

bool control_ask_reload(struct control *control, io_id asker)
{
        if (control->askers_count == CONTROL_ASKERS_MAX)
                return false;
        control->askers[control->askers_count++] = asker;
        control->is_reload_asked = true;
        return true;
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
        char *text = outcome_json(outcome);
        if (outcome != NULL)
                reactor_note_reload(reactor, outcome->is_taken);
        for (unsigned i = 0; i < control->askers_count; i++)
                admin_reloaded(reactor, control->askers[i], outcome != NULL && outcome->is_taken, text);
        control->askers_count = 0;
        free(text);
}
