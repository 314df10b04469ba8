/* base/pool.c - see pool.h. */
#include "base/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct worker {
    struct pool *pool;
    unsigned     number;
    pthread_t    thread;
};

struct pool {
    pthread_mutex_t   lock;
    pthread_cond_t    wake;
    struct pool_task *head, *tail;
    size_t            waiting;
    bool              stopping;
    void (*worker_end)(void);
    unsigned      n;
    struct worker workers[];
};

static struct pool_task *take(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->head == NULL && !p->stopping)
        pthread_cond_wait(&p->wake, &p->lock);
    struct pool_task *task = p->head;
    if (task != NULL) {
        p->head = task->next;
        if (p->head == NULL)
            p->tail = NULL;
        p->waiting--;
    }
    pthread_mutex_unlock(&p->lock);
    return task;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    for (struct pool_task *task = take(w->pool); task != NULL; task = take(w->pool))
        task->run(task, w->number);
    if (w->pool->worker_end != NULL)
        w->pool->worker_end();
    return NULL;
}

enum kms_status pool_new(unsigned workers, void (*worker_end)(void), struct pool **ret,
                         struct kms_error *reterr)
{
    struct pool *p = calloc(1, sizeof *p + workers * sizeof p->workers[0]);

    if (p == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for %u threads", workers);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->worker_end = worker_end;
    for (unsigned i = 0; i < workers; i++) {
        p->workers[i].pool = p;
        p->workers[i].number = i;
        if (pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]) != 0) {
            pool_stop(p);
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot start thread %u of %u of the pool",
                            i + 1, workers);
        }
        p->n = i + 1;
    }
    *ret = p;
    return KMS_OK;
}

void pool_submit(struct pool *p, struct pool_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->tail != NULL)
        p->tail->next = task;
    else
        p->head = task;
    p->tail = task;
    p->waiting++;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
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
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p);
}
