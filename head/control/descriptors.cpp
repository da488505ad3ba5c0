#include "head/control/descriptors.hpp"

#include <filesystem>
#include <sys/resource.h>

namespace head::control {

Descriptors descriptors_here() {
  Descriptors here;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) here.most = files.rlim_cur;
  std::error_code error;
  std::filesystem::directory_iterator open("/proc/self/fd", error);
  for (; !error && open != std::filesystem::directory_iterator(); open.increment(error))
    ++here.open;
  return here;
}

}  // namespace head::control
