#include "tools/bench/fio.hpp"

#include "tools/bench/process.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <stdexcept>

namespace bench {

FioResult run_fio(const std::string& uri, const Workload& workload, double seconds,
                  const std::filesystem::path& scratch) {
  const std::string text = output_of(
      {"fio", "--name=bench", "--ioengine=nbd", "--uri=" + uri, "--rw=" + workload.mode,
       "--bs=" + workload.block_size, fmt::format("--iodepth={}", workload.depth), "--time_based=1",
       fmt::format("--runtime={}ms", static_cast<int>(seconds * 1000)), "--randrepeat=0",
       "--norandommap=1", "--percentile_list=50:99", "--output-format=json"},
      scratch);
  // fio may print remarks before its JSON.
  const auto begin = text.find('{');
  if (begin == std::string::npos) throw std::runtime_error("fio printed no result: " + text);
  const auto job = nlohmann::json::parse(text.substr(begin)).at("jobs").at(0);
  if (job.at("error") != 0) throw std::runtime_error("fio met an error: " + text);
  const bool read = workload.mode.find("read") != std::string::npos;
  const auto& side = job.at(read ? "read" : "write");
  const auto& percentiles = side.at("clat_ns").at("percentile");
  FioResult result;
  result.requests = side.at("total_ios");
  result.per_second = side.at("iops");
  result.mb_per_second = side.at("bw_bytes").get<double>() / 1e6;
  result.p50_us = percentiles.at("50.000000").get<double>() / 1e3;
  result.p99_us = percentiles.at("99.000000").get<double>() / 1e3;
  if (result.requests == 0) throw std::runtime_error("fio got no answer from " + uri);
  return result;
}

std::string unix_uri(const std::filesystem::path& socket, const std::string& export_name) {
  return "nbd+unix:///" + export_name + "?socket=" + socket.string();
}

}  // namespace bench
