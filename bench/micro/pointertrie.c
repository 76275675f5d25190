/* A node's map is open addressing over (hash of the token, child), at most three quarters full. Nodes without children
 * have none. Numbers start at 1; 0 is none. */
#include "bench/micro/pointertrie.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define TOKENS_MAX 32

struct node {
        struct slot *slots;
        uint32_t slots_count; /* a power of two, or 0 */
        uint32_t children_count;
        struct node *star;
        uint32_t whole; /* the pattern that ends here */
        uint32_t tail;  /* the pattern that has a tail here */
};

struct slot {
        uint64_t hash;
        struct node *child;
};

struct pointertrie {
        struct node *root;
        uint32_t patterns_count;
        size_t bytes;
};

static void *zeroed(struct pointertrie *trie, size_t count, size_t size)
{
        void *memory = calloc(count, size);
        if (memory == NULL)
                abort();
        trie->bytes += count * size + 16; /* the heap keeps about as much beside */
        return memory;
}

struct pointertrie *pointertrie_new(void)
{
        struct pointertrie *trie = calloc(1, sizeof *trie);
        if (trie == NULL)
                abort();
        trie->root = zeroed(trie, 1, sizeof *trie->root);
        return trie;
}

static void node_free(struct node *node)
{
        if (node == NULL)
                return;
        for (uint32_t i = 0; i < node->slots_count; i++)
                node_free(node->slots[i].child);
        node_free(node->star);
        free(node->slots);
        free(node);
}

void pointertrie_free(struct pointertrie *trie)
{
        if (trie == NULL)
                return;
        node_free(trie->root);
        free(trie);
}

static struct slot *slot_of(const struct node *node, uint64_t hash)
{
        for (uint32_t at = (uint32_t)hash;; at++) {
                struct slot *slot = &node->slots[at & (node->slots_count - 1)];
                if (slot->child == NULL || slot->hash == hash)
                        return slot;
        }
}

static struct node *child_of(struct pointertrie *trie, struct node *node, uint64_t hash)
{
        if ((node->children_count + 1) * 4 > node->slots_count * 3) {
                struct node old = *node;
                node->slots_count = old.slots_count == 0 ? 2 : old.slots_count * 2;
                node->slots = zeroed(trie, node->slots_count, sizeof *node->slots);
                for (uint32_t i = 0; i < old.slots_count; i++)
                        if (old.slots[i].child != NULL)
                                *slot_of(node, old.slots[i].hash) = old.slots[i];
                trie->bytes -= old.slots_count * sizeof *old.slots + (old.slots_count > 0 ? 16 : 0);
                free(old.slots);
        }
        struct slot *slot = slot_of(node, hash);
        if (slot->child == NULL) {
                *slot = (struct slot){.hash = hash, .child = zeroed(trie, 1, sizeof *node)};
                node->children_count++;
        }
        return slot->child;
}

static struct span take_token(struct span *text)
{
        const uint8_t *dot = memchr(text->bytes, '.', text->size);
        struct span token = dot == NULL ? *text : span_of(text->bytes, (size_t)(dot - text->bytes));
        *text = dot == NULL ? SPAN_NONE : span_skip(*text, token.size + 1);
        return token;
}

void pointertrie_add(struct pointertrie *trie, struct span pattern)
{
        struct node *node = trie->root;
        while (pattern.size > 0) {
                struct span token = take_token(&pattern);
                if (span_equal(token, SPAN(">"))) {
                        if (node->tail == 0)
                                node->tail = ++trie->patterns_count;
                        return;
                }
                if (!span_equal(token, SPAN("*"))) {
                        node = child_of(trie, node, XXH3_64bits(token.bytes, token.size));
                        continue;
                }
                if (node->star == NULL)
                        node->star = zeroed(trie, 1, sizeof *node);
                node = node->star;
        }
        if (node->whole == 0)
                node->whole = ++trie->patterns_count;
}

struct found {
        uint32_t *numbers;
        size_t room, count;
};

static void found_add(struct found *found, uint32_t number)
{
        if (number == 0)
                return;
        if (found->count < found->room)
                found->numbers[found->count] = number;
        found->count++;
}

static void walk(const struct node *node, const uint64_t *hashes, size_t hashes_count, struct found *found)
{
        if (hashes_count == 0) {
                found_add(found, node->whole);
                return;
        }
        found_add(found, node->tail);
        if (node->star != NULL)
                walk(node->star, hashes + 1, hashes_count - 1, found);
        if (node->slots_count == 0)
                return;
        const struct slot *slot = slot_of(node, hashes[0]);
        if (slot->child != NULL)
                walk(slot->child, hashes + 1, hashes_count - 1, found);
}

size_t pointertrie_match(const struct pointertrie *trie, struct span subject, uint32_t *numbers, size_t room)
{
        uint64_t hashes[TOKENS_MAX];
        size_t count = 0;
        while (subject.size > 0 && count < TOKENS_MAX) {
                struct span token = take_token(&subject);
                hashes[count++] = XXH3_64bits(token.bytes, token.size);
        }
        struct found found = {.numbers = numbers, .room = room, .count = 0};
        walk(trie->root, hashes, count, &found);
        return found.count;
}

size_t pointertrie_bytes(const struct pointertrie *trie)
{
        return trie->bytes;
}
