/* list: an intrusive, circular, doubly linked list. The head is a link like any other; a link that is in
 * no list points to itself, so taking it out twice is harmless. */
#ifndef SPATE_BASE_LIST_H
#define SPATE_BASE_LIST_H

#include "engine/base/check.h"

struct list {
        struct list *next;
        struct list *prev;
};

static inline void list_init(struct list *link)
{
        link->next = link;
        link->prev = link;
}

static inline bool list_is_empty(const struct list *head)
{
        return head->next == head;
}

/* Is this link in a list? (The same question as list_is_empty, asked of a member.) */
static inline bool list_is_linked(const struct list *link)
{
        return link->next != link;
}

static inline void list_push_back(struct list *head, struct list *link)
{
        link->next = head;
        link->prev = head->prev;
        head->prev->next = link;
        head->prev = link;
}

static inline void list_push_front(struct list *head, struct list *link)
{
        list_push_back(head->next, link);
}

static inline void list_remove(struct list *link)
{
        link->next->prev = link->prev;
        link->prev->next = link->next;
        list_init(link);
}

/* Moves every link of `from` behind the last of `to`; `from` is empty afterwards. */
static inline void list_splice_back(struct list *to, struct list *from)
{
        if (list_is_empty(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
}

#define list_entry(link, type, member) container_of(link, type, member)

/* `link` walks the list; the body may remove it, but not its successor. */
#define list_for_each(head, link)                                                                                      \
        for (struct list *link = (head)->next, *link##_next = link->next; link != (head);                              \
             link = link##_next, link##_next = link->next)

#endif
