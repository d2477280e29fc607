#include "threads/thread_pool.h"

#ifndef _WIN32
#include <pthread.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace gscodec {
namespace {

int processor_count() {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1u, std::thread::hardware_concurrency());
}

// Whether this thread is running a task, or serves a pool that does: a parallel_for inside a task runs in its thread,
// since the pool has no turn left that it could wait for.
thread_local bool inside_job = false;

struct Job {
    const std::function<void(int64_t)>* fn;
    int64_t n_tasks;
    std::atomic<int64_t> next{0};
    int seats = 0, inside = 0;  // workers that may still join, and that have joined: under the pool's mutex
    std::exception_ptr error;   // the first
    std::mutex error_mutex;

    Job(const std::function<void(int64_t)>& tasks, int64_t n) : fn(&tasks), n_tasks(n) {}

    void drain() {
        for (int64_t task; (task = next.fetch_add(1)) < n_tasks;) {
            try {
                (*fn)(task);
            } catch (...) {
                std::lock_guard<std::mutex> lock(error_mutex);
                if (!error) error = std::current_exception();
                next = n_tasks;
            }
        }
    }
};

class Pool {
public:
    void run(Job& job, int helpers) {
        const std::lock_guard<std::mutex> turn(turn_);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            add_workers(helpers);
            job.seats = helpers;
            job_ = &job;
            ++ticket_;
        }
        wake_.notify_all();
        inside_job = true;  // drain() throws nothing
        job.drain();
        inside_job = false;
        std::unique_lock<std::mutex> lock(mutex_);
        job_ = nullptr;
        done_.wait(lock, [&] { return job.inside == 0; });
    }

    // Workers only ever wait between jobs, so they can be left to the process's exit.
    ~Pool() = default;

private:
    // Up to n in total, or as many as the system allows: the caller does the remaining work.
    void add_workers(int n) {
        try {
            while (static_cast<int>(workers_.size()) < n) workers_.emplace_back([this] { work(); });
        } catch (const std::system_error&) {
        }
    }

    [[noreturn]] void work() {
        inside_job = true;
        uint64_t seen = 0;
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return job_ && ticket_ != seen; });
            seen = ticket_;
            Job* job = job_;
            if (job->seats <= 0) continue;
            --job->seats;
            ++job->inside;
            lock.unlock();
            job->drain();
            lock.lock();
            if (--job->inside == 0) done_.notify_all();
        }
    }

    std::mutex turn_, mutex_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> workers_;
    Job* job_ = nullptr;
    uint64_t ticket_ = 0;
};

// The process's pool. It is never destroyed: its threads may outlive static destructors. A child of fork() has none of
// these threads, and whichever locks they held stay locked there, so it begins without a pool and makes its own.
std::atomic<Pool*> current_pool{nullptr};

#ifndef _WIN32
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] {
    current_pool = nullptr;
    inside_job = false;
});
#endif

std::atomic<uint64_t> thread_limits{0};

Pool& pool() {
    Pool* found = current_pool.load();
    if (found) return *found;
    auto* made = new Pool;
    if (current_pool.compare_exchange_strong(found, made)) return *made;
    delete made;  // another thread was first
    return *found;
}

}  // namespace

void parallel_for(int64_t n_tasks, int threads, const std::function<void(int64_t)>& fn) {
    if (threads <= 0) threads = processor_count();
    thread_limits.fetch_or(uint64_t{1} << std::min(threads, 63), std::memory_order_relaxed);
    const int helpers = static_cast<int>(std::min<int64_t>(threads, n_tasks)) - 1;
    Job job(fn, n_tasks);
    if (helpers <= 0 || inside_job)
        job.drain();
    else
        pool().run(job, helpers);
    if (job.error) std::rethrow_exception(job.error);
}

uint64_t take_thread_limits() { return thread_limits.exchange(0); }

}  // namespace gscodec
