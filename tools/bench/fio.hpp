// One run of fio's nbd engine against an NBD server, and what it measured.
#pragma once

#include <filesystem>
#include <string>

namespace bench {

struct Workload {
  std::string name;        // as in the tables
  std::string mode;        // fio's --rw
  std::string block_size;  // fio's --bs
  unsigned depth = 1;
};

struct FioResult {
  double requests = 0;
  double per_second = 0;     // requests
  double mb_per_second = 0;  // 10^6 bytes
  double p50_us = 0;
  double p99_us = 0;
};

// Throws std::runtime_error with fio's words when an I/O failed or it could not run.
FioResult run_fio(const std::string& uri, const Workload& workload, double seconds,
                  const std::filesystem::path& scratch);

std::string unix_uri(const std::filesystem::path& socket, const std::string& export_name = "");

}  // namespace bench
