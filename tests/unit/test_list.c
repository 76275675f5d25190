/* list: holds what an array of pointers holds, in the same order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "engine/base/list.h"
#include "engine/base/random.h"

struct item {
        int number;
        struct list link;
};

static void a_link_in_no_list_may_be_taken_out_twice(void **state)
{
        (void)state;
        struct list head, link;
        list_init(&head);
        list_init(&link);
        assert_true(list_is_empty(&head));
        assert_false(list_is_linked(&link));
        list_push_back(&head, &link);
        assert_true(list_is_linked(&link));
        list_remove(&link);
        list_remove(&link);
        assert_true(list_is_empty(&head));
        assert_false(list_is_linked(&link));
}

static void the_body_of_a_walk_may_remove_where_it_stands(void **state)
{
        (void)state;
        struct list head;
        struct item items[10];
        int walked = 0;
        list_init(&head);
        for (int i = 0; i < 10; i++) {
                items[i].number = i;
                list_push_back(&head, &items[i].link);
        }
        list_for_each(&head, link)
        {
                assert_int_equal(list_entry(link, struct item, link)->number, walked++);
                list_remove(link);
        }
        assert_int_equal(walked, 10);
        assert_true(list_is_empty(&head));
}

#define LISTS 3
#define ITEMS 60

struct model {
        struct item *items[ITEMS];
        size_t count;
};

static void model_take(struct model *model, size_t index)
{
        model->count--;
        memmove(&model->items[index], &model->items[index + 1], (model->count - index) * sizeof(model->items[0]));
}

static void model_check(const struct model *model, struct list *head)
{
        size_t walked = 0;
        list_for_each(head, link)
        {
                assert_true(walked < model->count);
                assert_ptr_equal(list_entry(link, struct item, link), model->items[walked]);
                assert_ptr_equal(link->next->prev, link);
                walked++;
        }
        assert_int_equal(walked, model->count);
        assert_int_equal(list_is_empty(head), model->count == 0);
        for (struct list *link = head->prev; link != head; link = link->prev)
                assert_ptr_equal(list_entry(link, struct item, link), model->items[--walked]);
}

static void random_moves_agree_with_arrays(void **state)
{
        (void)state;
        struct random random;
        struct list heads[LISTS];
        static struct model models[LISTS];
        static struct item items[ITEMS];
        random_init(&random, 22);
        for (size_t i = 0; i < LISTS; i++)
                list_init(&heads[i]);
        for (size_t i = 0; i < ITEMS; i++)
                list_init(&items[i].link);
        for (int step = 0; step < 50000; step++) {
                size_t to = random_below(&random, LISTS);
                struct item *item = &items[random_below(&random, ITEMS)];
                if (random_chance(&random, 1, 30)) {
                        size_t from = (to + 1) % LISTS;
                        list_splice_back(&heads[to], &heads[from]);
                        for (size_t i = 0; i < models[from].count; i++)
                                models[to].items[models[to].count++] = models[from].items[i];
                        models[from].count = 0;
                }
                bool was_linked = list_is_linked(&item->link);
                bool was_found = false;
                list_remove(&item->link);
                for (size_t list = 0; list < LISTS; list++) {
                        for (size_t i = 0; i < models[list].count; i++) {
                                if (models[list].items[i] != item)
                                        continue;
                                model_take(&models[list], i);
                                was_found = true;
                        }
                }
                assert_int_equal(was_linked, was_found);
                struct model *model = &models[to];
                if (random_chance(&random, 1, 3)) {
                        list_push_front(&heads[to], &item->link);
                        memmove(&model->items[1], &model->items[0], model->count * sizeof(model->items[0]));
                        model->items[0] = item;
                        model->count++;
                } else if (random_chance(&random, 2, 3)) {
                        list_push_back(&heads[to], &item->link);
                        model->items[model->count++] = item;
                }
                for (size_t i = 0; i < LISTS; i++)
                        model_check(&models[i], &heads[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_link_in_no_list_may_be_taken_out_twice),
                cmocka_unit_test(the_body_of_a_walk_may_remove_where_it_stands),
                cmocka_unit_test(random_moves_agree_with_arrays),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
