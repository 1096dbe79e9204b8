/* Three counters only grow: put >= taken (by threads) and put >= passed. The place of a cell in the
 * ring is its number modulo the size of the ring. */
#include "base/clock.h"
#include "base/queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct clipb_queue {
    unsigned char *cell;
    bool *done;
    size_t cells, size;
    uint64_t put, taken, passed;
    pthread_mutex_t lock;
    pthread_cond_t work, ready;
    bool stop;
    clipb_queue_work *fn;
    void *user;
    int nice;
    double waited;
    int threads;
    pthread_t *thread;
};

static void *cell_at(const clipb_queue *q, uint64_t i) { return q->cell + (size_t)(i % q->cells) * q->size; }

static void *work(void *user)
{
    clipb_queue *q = user;
    if (q->nice > 0)
        setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + q->nice);
    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (q->taken == q->put && !q->stop)
            pthread_cond_wait(&q->work, &q->lock);
        if (q->stop)
            break;
        const uint64_t mine = q->taken++;
        pthread_mutex_unlock(&q->lock);
        q->fn(q->user, cell_at(q, mine));
        pthread_mutex_lock(&q->lock);
        q->done[mine % q->cells] = true;
        if (mine == q->passed)
            pthread_cond_signal(&q->ready);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

clip_status clipb_queue_new(int threads, size_t cells, size_t size, int nice, clipb_queue_work *fn, void *user,
                            clipb_queue **out)
{
    *out = NULL;
    clipb_queue *q = calloc(1, sizeof *q);
    if (!q)
        return CLIP_ENOMEM;
    *q = (clipb_queue){.cells = cells, .size = size, .fn = fn, .user = user, .nice = nice};
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->work, NULL);
    pthread_cond_init(&q->ready, NULL);
    q->cell = calloc(cells, size);
    q->done = calloc(cells, sizeof *q->done);
    q->thread = calloc((size_t)threads, sizeof *q->thread);
    clip_status s = q->cell && q->done && q->thread ? CLIP_OK : CLIP_ENOMEM;
    while (s == CLIP_OK && q->threads < threads && pthread_create(&q->thread[q->threads], NULL, work, q) == 0)
        q->threads++;
    if (s == CLIP_OK && q->threads == 0) /* fewer threads than asked for are enough */
        s = CLIP_ELIMIT;
    if (s < 0) {
        clipb_queue_free(q, NULL);
        return s;
    }
    *out = q;
    return CLIP_OK;
}

void *clipb_queue_room(clipb_queue *q) { return q->put - q->passed < q->cells ? cell_at(q, q->put) : NULL; }

void clipb_queue_put(clipb_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->put++;
    pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->lock);
}

void *clipb_queue_oldest(clipb_queue *q)
{
    if (q->put == q->passed)
        return NULL;
    pthread_mutex_lock(&q->lock);
    if (!q->done[q->passed % q->cells]) {
        const double since = clipb_now();
        while (!q->done[q->passed % q->cells])
            pthread_cond_wait(&q->ready, &q->lock);
        q->waited += clipb_now() - since;
    }
    pthread_mutex_unlock(&q->lock);
    return cell_at(q, q->passed);
}

void clipb_queue_pass(clipb_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->done[q->passed % q->cells] = false;
    q->passed++;
    pthread_mutex_unlock(&q->lock);
}

double clipb_queue_waited(const clipb_queue *q) { return q->waited; }

void clipb_queue_free(clipb_queue *q, void (*drop)(void *cell))
{
    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_broadcast(&q->work);
    pthread_mutex_unlock(&q->lock);
    for (int i = 0; i < q->threads; i++)
        pthread_join(q->thread[i], NULL);
    for (size_t i = 0; drop && i < q->cells; i++)
        drop(cell_at(q, i));
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->work);
    pthread_cond_destroy(&q->ready);
    free(q->cell);
    free(q->done);
    free(q->thread);
    free(q);
}
