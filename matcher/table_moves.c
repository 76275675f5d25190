/* Shapes move: into the lines when they have become populous, into the tree when others have.
 *
 * A reader must find each pattern exactly once, whichever programs it still has. So patterns are copied before programs
 * look for them there, and cleared from where they were when every reader has those programs. Between the two they are
 * in both: lines that no program looks into show nothing, and a tree shows all it has, so programs say whose to pass
 * over.
 *
 *      to the lines   copy · (switch: look into the lines, hide) · wait · clear the tree · show
 *      to the tree    hide · wait · copy · (switch: look into the tree alone) · wait · clear the lines
 *
 * All of it a little at a time, in turns of the writer, and again where there was no memory. */
#include "engine/base/mark.h"
#include "matcher/table.h"

#define PATTERNS_A_STEP 1024
/* Whether a shape is to move is asked after so many changes, and one of so many patterns. */
#define CHANGES_AT_LEAST 256
#define CHANGES_SHARE 64

static void readers_have_it(struct epoch_retired *retired)
{
        container_of(retired, struct move, readers)->is_waiting = false;
}

static void wait_for_readers(struct match_table *table)
{
        table->move.is_waiting = true;
        epoch_retire(&table->bin, &table->move.readers, readers_have_it);
}

static struct shape_row *row_of(struct match_table *table)
{
        struct shape_row *row = shapes_find(&table->shapes, table->move.shape);
        assert(row != NULL);
        return row;
}

static void go_to(struct match_table *table, enum move_step step)
{
        table->move.step = step;
        table->move.next_id = 0;
}

static void begin(struct match_table *table)
{
        struct move *move = &table->move;
        if (move->changes_count < CHANGES_AT_LEAST + table->patterns_count / CHANGES_SHARE)
                return;
        move->changes_count = 0;
        if (!shapes_pick(&table->shapes, &move->shape, &move->to_hot))
                return;
        struct shape_row *row = row_of(table);
        row->is_moving = true;
        /* From now on what comes goes into both. Nobody looks into the one that is new. */
        if (move->to_hot) {
                seen("a shape began to move from the tree into the lines");
                row->in_lines = true;
                go_to(table, MOVE_COPY);
        } else {
                seen("a shape began to move from the lines into the tree");
                go_to(table, MOVE_HIDE);
        }
}

/* Programs of the shape's depths, with what they are to hide. False: there was no memory; nothing has changed. */
static bool publish(struct match_table *table, uint64_t skip_code)
{
        uint64_t before = table->move.skip_code;
        table->move.skip_code = skip_code;
        if (table_publish(table, shape_depths(table->move.shape)) == 0)
                return true;
        table->move.skip_code = before;
        return false;
}

static void hide(struct match_table *table)
{
        if (!publish(table, shape_code(table->move.shape)))
                return;
        wait_for_readers(table);
        go_to(table, MOVE_COPY);
}

static void switch_over(struct match_table *table)
{
        struct move *move = &table->move;
        struct shape_row *row = row_of(table);
        shapes_heat(&table->shapes, row, move->to_hot);
        if (!publish(table, move->to_hot ? shape_code(move->shape) : SHAPE_CODE_NONE)) {
                shapes_heat(&table->shapes, row, !move->to_hot);
                return;
        }
        wait_for_readers(table);
        go_to(table, MOVE_CLEAR);
}

static void end(struct match_table *table)
{
        struct shape_row *row = row_of(table);
        row->is_moving = false;
        table->move.changes_count = SIZE_MAX / 2; /* there may be another one to move */
        go_to(table, MOVE_NONE);
}

static int copy(struct match_table *table, pattern_id id, const struct subject_key *tokens)
{
        const struct move *move = &table->move;
        if (!move->to_hot) {
                if (cold_find(&table->cold, move->shape, tokens) != LINES_NONE)
                        return 0;
                return cold_add(&table->cold, move->shape, tokens, id);
        }
        struct subject_key key = record_key(&table->records[id]);
        if (index_has(&table->index, key, id, true))
                return 0;
        int error = index_make_room(&table->index, 1);
        if (error != 0)
                return error;
        index_insert(&table->index, key, id, true);
        index_grow_on(&table->index);
        return 0;
}

static void clear(struct match_table *table, pattern_id id, const struct subject_key *tokens)
{
        if (table->move.to_hot)
                cold_remove(&table->cold, table->move.shape, tokens, id);
        else
                index_remove(&table->index, record_key(&table->records[id]), id, true);
}

/* The next patterns, those of the shape among them. True: that was all. */
static bool go_through(struct match_table *table)
{
        struct move *move = &table->move;
        size_t end_id = move->next_id + PATTERNS_A_STEP;
        for (; move->next_id < table->ids_fresh && move->next_id < end_id; move->next_id++) {
                const struct record *record = &table->records[move->next_id];
                /* Without reactors it has been withdrawn and waits to retire. */
                if (record->text == NULL || atomic_load_explicit(&record->reactors, memory_order_relaxed) == 0 ||
                    !shape_equal(record->text->shape, move->shape))
                        continue;
                struct subject_key tokens[MATCH_TOKENS_MAX];
                pattern_tokens(&table->secrets, kept_text_span(record->text), move->shape, tokens);
                if (move->step == MOVE_CLEAR)
                        clear(table, (pattern_id)move->next_id, tokens);
                else if (copy(table, (pattern_id)move->next_id, tokens) != 0)
                        return false; /* again, in the next turn */
        }
        return move->next_id == table->ids_fresh;
}

void table_move_on(struct match_table *table)
{
        struct move *move = &table->move;
        if (move->is_waiting)
                return;
        switch (move->step) {
        case MOVE_NONE:
                begin(table);
                break;
        case MOVE_HIDE:
                hide(table);
                break;
        case MOVE_COPY:
                row_of(table)->in_tree = true; /* what the tree has of it is hidden from all by now */
                if (go_through(table))
                        go_to(table, MOVE_SWITCH);
                break;
        case MOVE_SWITCH:
                switch_over(table);
                break;
        case MOVE_CLEAR:
                /* Nobody looks there any more, so nothing is put there that would have to be cleared, too. */
                row_of(table)->in_lines = move->to_hot;
                row_of(table)->in_tree = !move->to_hot;
                if (!go_through(table))
                        break;
                if (move->to_hot)
                        go_to(table, MOVE_SHOW);
                else
                        end(table);
                break;
        case MOVE_SHOW:
                if (publish(table, SHAPE_CODE_NONE))
                        end(table);
                break;
        }
}
