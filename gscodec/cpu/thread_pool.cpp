#include "thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
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

struct Job {
    const std::function<void(int64_t)>* fn;
    int64_t n_tasks;
    std::atomic<int64_t> next{0};
    std::atomic<int> seats;   // workers that may still join
    std::atomic<int> inside{0};
    std::exception_ptr error;
    std::mutex error_mutex;

    void drain() {
        for (int64_t task; (task = next.fetch_add(1)) < n_tasks;) {
            try {
                (*fn)(task);
            } catch (...) {
                std::lock_guard<std::mutex> lock(error_mutex);
                error = std::current_exception();
                next = n_tasks;
            }
        }
    }
};

class Pool {
public:
    const pid_t pid = getpid();

    void run(Job& job, int helpers) {
        std::unique_lock<std::mutex> turn(turn_);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            while (static_cast<int>(workers_.size()) < helpers) workers_.emplace_back([this] { work(); });
            job.seats = helpers;
            job_ = &job;
            ++ticket_;
        }
        wake_.notify_all();
        job.drain();
        std::unique_lock<std::mutex> lock(mutex_);
        job_ = nullptr;
        done_.wait(lock, [&] { return job.inside == 0; });
    }

    // Workers only ever wait between jobs, so they can be left to the process's exit.
    ~Pool() = default;

private:
    void work() {
        uint64_t seen = 0;
        for (;;) {
            Job* job;
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return job_ && ticket_ != seen; });
                seen = ticket_;
                job = job_;
                if (job->seats.fetch_sub(1) <= 0) continue;
                ++job->inside;
            }
            job->drain();
            {
                std::lock_guard<std::mutex> lock(mutex_);
                --job->inside;
            }
            done_.notify_all();
        }
    }

    std::mutex turn_, mutex_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> workers_;
    Job* job_ = nullptr;
    uint64_t ticket_ = 0;
};

// Never destroyed: its threads may outlive static destructors. After fork() the child has none of them and gets a new one.
Pool& pool() {
    static std::mutex mutex;
    static Pool* current = nullptr;
    std::lock_guard<std::mutex> lock(mutex);
    if (!current || current->pid != getpid()) current = new Pool;
    return *current;
}

thread_local bool inside_job = false;

}  // namespace

void parallel_for(int64_t n_tasks, int threads, const std::function<void(int64_t)>& fn) {
    if (threads <= 0) threads = processor_count();
    const int helpers = static_cast<int>(std::min<int64_t>(threads, n_tasks)) - 1;
    Job job;
    job.fn = &fn;
    job.n_tasks = n_tasks;
    if (helpers <= 0 || inside_job) {
        job.drain();
    } else {
        inside_job = true;
        pool().run(job, helpers);
        inside_job = false;
    }
    if (job.error) std::rethrow_exception(job.error);
}

}  // namespace gscodec
