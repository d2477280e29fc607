// One pool of worker threads for the whole process. Work is handed out task by task from a counter, so a slow task
// never holds up the rest; results must not depend on which worker runs a task.
#pragma once
#include <cstdint>
#include <functional>

namespace gscodec {

// Runs fn(task) for task in [0, n_tasks) on up to `threads` threads (0: one per processor), the caller among them.
void parallel_for(int64_t n_tasks, int threads, const std::function<void(int64_t)>& fn);

}  // namespace gscodec
