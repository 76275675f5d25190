/* document: a YAML file as a tree, with the place of every node, and the first fault that was found in it. What people
 * write by hand is read through here: the configuration and the users.
 *
 *      document_parse ─▶ document_mapping, document_list, document_scalar … ─▶ document_fini
 *
 * A fault is one line, "FILE:LINE:COLUMN: what, why, how to fix it". The first one is kept, and every reader gives
 * false from then on, so that callers need not look before they go on. */
#ifndef SPATE_ENGINE_ACCESS_DOCUMENT_H
#define SPATE_ENGINE_ACCESS_DOCUMENT_H

#include <yaml.h>

#include "engine/base/options.h"

#define DOCUMENT_KEYS_MAX 32

struct document {
        const char *name;     /* borrowed; of the file, in faults */
        const char *nothing;  /* what an empty file should have said */
        bool refuses_anchors; /* &name and *name: what stands elsewhere */
        char *error;          /* OPTIONS_ERROR_BYTES, borrowed */
        int failed;           /* 0 or the -errno that was told */
        yaml_document_t tree;
        bool has_tree;
};

/* Parses `text`, which it does not need any longer then; the fields above `tree` are set. 0, or -EINVAL or -ENOMEM with
 * one line in document->error. */
int document_parse(struct document *document, struct span text);
/* Accepts one that was never parsed. */
void document_fini(struct document *document);

/* Reads the whole of a regular file of at most `bytes_max`. 0, or -errno with one line that begins with `origin` in
 * `error`. The bytes are on the heap, also when there are none. */
int document_read_file(const char *path, const char *origin, size_t bytes_max, uint8_t **bytes, size_t *size,
                       char error[OPTIONS_ERROR_BYTES]);

/* Tells a fault, unless one was told before. */
void document_fault(struct document *document, const yaml_node_t *node, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void document_out_of_memory(struct document *document, const char *what);

const yaml_node_t *document_root(struct document *document);
/* By the number that lists and mappings hold. */
const yaml_node_t *document_node(struct document *document, int index);
struct option_place document_place(const yaml_node_t *node);
/* "a list" */
const char *document_kind(const yaml_node_t *node);

/* A single value; `what` is told with a fault: "a name". Borrowed from the document. */
bool document_scalar(struct document *document, const yaml_node_t *node, const char *what, struct span *value);
/* The items of a list. */
bool document_list(struct document *document, const yaml_node_t *node, const char *what, const yaml_node_item_t **items,
                   size_t *count);
/* Finds the values of `keys` (NULL-terminated, fewer than DOCUMENT_KEYS_MAX) in a mapping; absent: NULL. A key that is
 * unknown or comes twice is a fault; `elsewhere`, where it is not NULL, may know where an unknown one belongs, and tell
 * so. */
bool document_mapping(struct document *document, const yaml_node_t *node, const char *what, const char *const *keys,
                      const yaml_node_t *values[DOCUMENT_KEYS_MAX],
                      const char *(*elsewhere)(const char *key, void *context), void *context);

#endif
