/* queuegroup: subscribers of one pattern that share its events, each event to one of them. Groups of the same name on
 * different patterns that match the same event act as one: a single member of all of them is picked, each with the same
 * chance. A group and its members belong to one reactor; how many they are is published (interest). */
#ifndef SPATE_ENGINE_QUEUEGROUP_H
#define SPATE_ENGINE_QUEUEGROUP_H

#include "engine/route.h"

struct queue_group {
        struct list route_link; /* in route->groups */
        struct map_node node;   /* in routes->groups */
        const struct route *route;
        struct interest_row *rows;     /* by sibling: one for each filter of its members; none while not visible */
        uint64_t name_hash;            /* as the rows have it */
        struct subscription **members; /* dense, any order */
        uint32_t members_count, members_max;
        uint16_t name_bytes;
        uint8_t name[];
};

/* Adds to the group `name` of the route, which is made when it is the first. 0 or -ENOMEM. */
int queue_group_add(struct routes *routes, struct route *route, struct span name, struct subscription *subscription);
/* The group goes with its last member. */
void queue_group_remove(struct routes *routes, struct subscription *subscription);
/* The group `name` of a pattern, unless that came later than `version`; NULL: none. `hash` is cores_name_hash(). */
struct queue_group *queue_group_of(const struct routes *routes, pattern_id id, uint64_t version, struct span name,
                                   uint64_t hash);

#endif
