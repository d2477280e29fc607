// One pool of worker threads for the whole process. Work is handed out task by task from a counter, so a slow task
// never holds up the rest; results must not depend on which worker runs a task.
#pragma once
#include <cstdint>
#include <functional>

namespace gscodec {

// Runs fn(task) for task in [0, n_tasks) on up to `threads` threads (0: one per processor), the caller among them. The
// first exception thrown by a task is rethrown after all running tasks have ended; tasks not started by then are
// skipped.
//
// Any thread may call it at any time: callers take turns, a call from inside a task runs in its own thread, and a
// process that was forked, even in the middle of a job, has a pool of its own.
void parallel_for(int64_t n_tasks, int threads, const std::function<void(int64_t)>& fn);

// How many threads the loops since the last call were allowed: bit k where one was allowed k, bit 63 for more. So a
// test can tell whether a caller's own limit reaches every loop, whatever the number of processors and of tasks.
uint64_t take_thread_limits();

}  // namespace gscodec
