/* base/pool.c - see pool.h. */
#include "base/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LONG_NICENESS = 10 };

struct queue {
    pthread_cond_t    wake;
    struct pool_task *head, *tail;
};

struct worker {
    struct pool  *pool;
    struct queue *queue;
    unsigned      number;
    pthread_t     thread;
};

struct pool {
    pthread_mutex_t lock;
    struct queue    quick, lengthy;
    size_t          waiting;
    bool            stopping;
    void (*worker_end)(void);
    unsigned      n;
    struct worker workers[];
};

static struct pool_task *take(struct pool *p, struct queue *q)
{
    pthread_mutex_lock(&p->lock);
    while (q->head == NULL && !p->stopping)
        pthread_cond_wait(&q->wake, &p->lock);
    struct pool_task *task = q->head;
    if (task != NULL) {
        q->head = task->next;
        if (q->head == NULL)
            q->tail = NULL;
        p->waiting--;
    }
    pthread_mutex_unlock(&p->lock);
    return task;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    bool           lengthy = w->queue == &w->pool->lengthy;

    (void)pthread_setname_np(pthread_self(), lengthy ? "long pool" : "pool");
    if (lengthy) /* of this thread only, on Linux */
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), LONG_NICENESS);
    for (struct pool_task *task = take(w->pool, w->queue); task != NULL;
         task = take(w->pool, w->queue))
        task->run(task, w->number);
    if (w->pool->worker_end != NULL)
        w->pool->worker_end();
    return NULL;
}

enum kms_status pool_new(unsigned workers, unsigned long_workers, void (*worker_end)(void),
                         struct pool **ret, struct kms_error *reterr)
{
    unsigned     all = workers + long_workers;
    struct pool *p = calloc(1, sizeof *p + all * sizeof p->workers[0]);

    if (p == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for %u threads", all);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->quick.wake, NULL);
    pthread_cond_init(&p->lengthy.wake, NULL);
    p->worker_end = worker_end;
    for (unsigned i = 0; i < all; i++) {
        p->workers[i].pool = p;
        p->workers[i].queue = i < workers ? &p->quick : &p->lengthy;
        p->workers[i].number = i;
        if (pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]) != 0) {
            pool_stop(p);
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot start thread %u of %u of the pool",
                            i + 1, all);
        }
        p->n = i + 1;
    }
    *ret = p;
    return KMS_OK;
}

void pool_submit(struct pool *p, struct pool_task *task)
{
    struct queue *q = task->takes_long ? &p->lengthy : &p->quick;

    task->next = NULL;
    pthread_mutex_lock(&p->lock);
    if (q->tail != NULL)
        q->tail->next = task;
    else
        q->head = task;
    q->tail = task;
    p->waiting++;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&p->lock);
}

unsigned pool_workers(const struct pool *p)
{
    return p->n;
}

size_t pool_waiting(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->waiting;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void pool_stop(struct pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->quick.wake);
    pthread_cond_broadcast(&p->lengthy.wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->quick.wake);
    pthread_cond_destroy(&p->lengthy.wake);
    free(p);
}
