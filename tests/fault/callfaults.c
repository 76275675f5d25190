/* callfaults: see the header. */
#include "tests/fault/callfaults.h"

#include <errno.h>
#include <string.h>

#include "tests/fault/faults.h"

#define FACES_MAX 8
#define REFUSED_MAX 64

/* A send that the network took nothing of: first its bytes come back, then, a poll later, it is worth another try. */
struct refused {
        io_id id;
        size_t bytes;
        bool is_told, is_over;
};

struct face {
        struct io *io; /* NULL: free */
        const struct io_operations *behind;
        uint32_t first_listener;
        callfaults_break *break_connection;
        void *context;
        struct refused refused[REFUSED_MAX];
        size_t refused_count;
};

static struct face faces[FACES_MAX];

static struct face *face_of(const struct io *io)
{
        for (size_t i = 0; i < FACES_MAX; i++)
                if (faces[i].io == io)
                        return &faces[i];
        assert(!"every io that comes here has entered");
        return NULL;
}

static void face_stop(struct io *io)
{
        struct face *face = face_of(io);
        bool was_armed = faults_pause();
        face->io = NULL;
        io->operations = face->behind;
        io_stop(io);
        faults_resume(was_armed);
}

static int face_listen(struct io *io, const char *address, enum io_sharing sharing, uint32_t listener,
                       char bound[IO_ADDRESS_BYTES_MAX])
{
        const struct face *face = face_of(io);
        if (faults_strike(FAULT_LISTEN))
                return -EADDRINUSE;
        bool was_armed = faults_pause();
        int failed = face->behind->listen(io, address, sharing, face->first_listener + listener, bound);
        faults_resume(was_armed);
        return failed;
}

static void face_stop_listening(struct io *io)
{
        bool was_armed = faults_pause();
        face_of(io)->behind->stop_listening(io);
        faults_resume(was_armed);
}

static int face_connect(struct io *io, const char *address, io_id *id)
{
        bool was_armed = faults_pause();
        int failed = face_of(io)->behind->connect(io, address, id);
        faults_resume(was_armed);
        return failed;
}

/* What has become of sends that were refused. A send that was refused in an earlier poll is worth a try again. */
static int tell_refused(struct face *face, struct io_event *events)
{
        int count = 0;
        size_t kept = 0;
        for (size_t i = 0; i < face->refused_count; i++) {
                struct refused refused = face->refused[i];
                if (!refused.is_told) {
                        events[count++] = (struct io_event){
                                .kind = IO_RELEASED, .id = refused.id, .sends = 1, .bytes = refused.bytes};
                        refused.is_told = true;
                        if (!refused.is_over)
                                face->refused[kept++] = refused;
                } else if (!refused.is_over) {
                        events[count++] = (struct io_event){.kind = IO_WRITABLE, .id = refused.id};
                }
        }
        face->refused_count = kept;
        return count;
}

static int face_poll(struct io *io, struct io_event *events, int events_max, uint64_t deadline_ns)
{
        struct face *face = face_of(io);
        if (faults_strike(FAULT_POLL))
                return 0;
        bool was_armed = faults_pause();
        assert(events_max >= REFUSED_MAX + 64);
        int told = tell_refused(face, events);
        bool has_more = told > 0 || face->refused_count > 0;
        int count = face->behind->poll(io, events + told, events_max - told, has_more ? 0 : deadline_ns);
        for (int i = told; i < told + count; i++)
                if (events[i].kind == IO_ACCEPTED)
                        events[i].listener -= face->first_listener;
        faults_resume(was_armed);
        return told + count;
}

static void face_send(struct io *io, io_id id, const struct span *pieces, size_t pieces_count)
{
        struct face *face = face_of(io);
        bool is_refused = face->refused_count < REFUSED_MAX && faults_strike(FAULT_SEND);
        bool is_broken = faults_strike(FAULT_BREAK);
        bool was_armed = faults_pause();
        if (is_broken)
                face->break_connection(face->context, io, id);
        if (is_refused) {
                struct refused *refused = &face->refused[face->refused_count++];
                *refused = (struct refused){.id = id};
                for (size_t i = 0; i < pieces_count; i++)
                        refused->bytes += pieces[i].size;
                io->statistics.sends++;
        } else {
                face->behind->send(io, id, pieces, pieces_count);
        }
        faults_resume(was_armed);
}

static void face_pause(struct io *io, io_id id, bool paused)
{
        bool was_armed = faults_pause();
        face_of(io)->behind->pause(io, id, paused);
        faults_resume(was_armed);
}

static void face_shutdown(struct io *io, io_id id)
{
        bool was_armed = faults_pause();
        face_of(io)->behind->shutdown(io, id);
        faults_resume(was_armed);
}

/* What was refused comes back before the IO_CLOSED; nothing is worth a try any more. */
static void face_close(struct io *io, io_id id, bool reset)
{
        struct face *face = face_of(io);
        bool was_armed = faults_pause();
        for (size_t i = 0; i < face->refused_count; i++)
                if (face->refused[i].id == id)
                        face->refused[i].is_over = true;
        face->behind->close(io, id, reset);
        faults_resume(was_armed);
}

static void face_wake(struct io *io)
{
        bool was_armed = faults_pause();
        face_of(io)->behind->wake(io);
        faults_resume(was_armed);
}

static int face_datagram_open(struct io *io, const char *address, io_id *id, char bound[IO_ADDRESS_BYTES_MAX])
{
        bool was_armed = faults_pause();
        int failed = face_of(io)->behind->datagram_open(io, address, id, bound);
        faults_resume(was_armed);
        return failed;
}

static bool face_datagram_send(struct io *io, io_id id, const struct io_address *to, struct span datagram)
{
        bool was_armed = faults_pause();
        bool is_sent = face_of(io)->behind->datagram_send(io, id, to, datagram);
        faults_resume(was_armed);
        return is_sent;
}

static uint64_t face_clock(const struct io *io)
{
        return face_of(io)->behind->clock(io);
}

static const struct io_operations operations = {
        .stop = face_stop,
        .listen = face_listen,
        .stop_listening = face_stop_listening,
        .connect = face_connect,
        .poll = face_poll,
        .send = face_send,
        .pause = face_pause,
        .shutdown = face_shutdown,
        .close = face_close,
        .wake = face_wake,
        .datagram_open = face_datagram_open,
        .datagram_send = face_datagram_send,
        .clock = face_clock,
};

void callfaults_enter(struct io *io, uint32_t first_listener, callfaults_break *break_connection, void *context)
{
        struct face *face = face_of(NULL);
        assert(io->operations->push == NULL); /* no backend of a test has one */
        *face = (struct face){.io = io,
                              .behind = io->operations,
                              .first_listener = first_listener,
                              .break_connection = break_connection,
                              .context = context};
        io->operations = &operations;
}
