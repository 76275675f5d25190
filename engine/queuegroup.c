/* queuegroup: a dense array of members, so that one is picked in constant time. See the header. */
#include "engine/queuegroup.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t queue_group_key(const struct route *route, uint64_t name_hash)
{
        return name_hash ^ route->serial * 0x9e3779b97f4a7c15u;
}

/* By hash: a million groups of one pattern must not make the next SUB a walk over all of them. */
static struct queue_group *queue_group_find(const struct routes *routes, const struct route *route, struct span name,
                                            uint64_t name_hash)
{
        uint64_t key = queue_group_key(route, name_hash);
        for (struct map_node *node = map_first(&routes->groups, key); node != NULL; node = map_next(node)) {
                struct queue_group *group = container_of(node, struct queue_group, node);
                if (group->route == route && span_equal(span_of(group->name, group->name_bytes), name))
                        return group;
        }
        return NULL;
}

struct queue_group *queue_group_of(const struct routes *routes, pattern_id id, uint64_t version, struct span name,
                                   uint64_t hash)
{
        const struct route *route = route_of(routes, id);
        if (route == NULL || route->version > version)
                return NULL;
        return queue_group_find(routes, route, name, hash);
}

static void queue_group_free_if_empty(struct routes *routes, struct queue_group *group)
{
        if (group->members_count > 0)
                return;
        assert(group->rows == NULL);
        list_remove(&group->route_link);
        map_remove(&routes->groups, &group->node);
        free(group->members);
        free(group);
}

static struct queue_group *queue_group_new(struct routes *routes, struct route *route, struct span name,
                                           uint64_t name_hash)
{
        struct queue_group *group = calloc(1, sizeof *group + name.size);
        if (group == NULL)
                return NULL;
        group->route = route;
        group->name_hash = name_hash;
        group->name_bytes = (uint16_t)name.size;
        span_copy(group->name, name);
        list_push_back(&route->groups, &group->route_link);
        map_insert(&routes->groups, &group->node, queue_group_key(route, name_hash));
        return group;
}

int queue_group_add(struct routes *routes, struct route *route, struct span name, struct subscription *subscription)
{
        uint64_t name_hash = cores_name_hash(routes->cores, name);
        struct queue_group *group = queue_group_find(routes, route, name, name_hash);
        assert(name.size <= UINT16_MAX);
        if (group == NULL)
                group = queue_group_new(routes, route, name, name_hash);
        if (group == NULL)
                return -ENOMEM;
        if (group->members_count == group->members_max) {
                uint32_t members_max = group->members_max == 0 ? 4 : group->members_max * 2;
                struct subscription **members = realloc(group->members, members_max * sizeof *members);
                if (members == NULL) {
                        queue_group_free_if_empty(routes, group);
                        return -ENOMEM;
                }
                group->members = members;
                group->members_max = members_max;
        }
        subscription->group = group;
        subscription->group_index = group->members_count;
        group->members[group->members_count++] = subscription;
        return 0;
}

void queue_group_remove(struct routes *routes, struct subscription *subscription)
{
        struct queue_group *group = subscription->group;
        struct subscription *last = group->members[--group->members_count];
        assert(group->members[subscription->group_index] == subscription || last == subscription);
        group->members[subscription->group_index] = last;
        last->group_index = subscription->group_index;
        subscription->group = NULL;
        queue_group_free_if_empty(routes, group);
}
