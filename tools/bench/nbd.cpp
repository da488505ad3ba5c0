// head-bench nbd: one disc, tail -> proxy -> Unix socket -> fio, with the proxies in turn.
#include "tools/bench/bench.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/fio.hpp"
#include "tools/bench/headd.hpp"
#include "tools/bench/process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <unistd.h>

namespace bench {
namespace {

// A server between the tail and fio, or the tail itself.
struct Subject {
  std::string name;
  std::string uri;
  pid_t pid = -1;  // Whose processor time is counted; -1: nobody's.
  std::vector<std::vector<FioResult>> results{};
  std::vector<std::vector<double>> cpu_us{};
};

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all{
      {"4 KiB random read, depth 1", "randread", "4k", 1},
      {"4 KiB random write, depth 1", "randwrite", "4k", 1},
      {"4 KiB random read, depth 32", "randread", "4k", 32},
      {"4 KiB random write, depth 32", "randwrite", "4k", 32},
      {"1 MiB sequential read, depth 8", "read", "1m", 8},
      {"1 MiB sequential write, depth 8", "write", "1m", 8},
  };
  return all;
}

unsigned short free_port(unsigned short from) {
  while (listens(from)) ++from;
  return from;
}

// The stage: a tail, and everything that can stand before it. All run all the time; those whose
// turn it is not are idle.
class Stage {
 public:
  Stage(const Common& common, const NbdOptions& options) : common_(common), options_(options) {
    start_tail();
    add_headd("headd", "");
    if (options.tail == "qemu-nbd")
      for (const std::string how : {"off", "always"})
        add_headd("headd, quick_ack " + how, "[tcp]\nquick_ack = \"" + how + "\"\n");
    else
      add_headd("headd, writeback", "[discs]\ndurability = \"writeback\"\n");
    add_qemu_storage_daemon();
    add_nbdkit_proxy();
    subjects_.push_back({.name = "direct", .uri = tail_uri()});
    if (!options.only.empty())
      std::erase_if(subjects_, [&](const Subject& subject) {
        return std::find(options.only.begin(), options.only.end(), subject.name) ==
               options.only.end();
      });
    if (subjects_.empty()) throw std::runtime_error("--only leaves no subject");
  }

  std::vector<Subject>& subjects() { return subjects_; }
  const std::filesystem::path& scratch() const { return scratch_.path(); }
  // Memory that was never written is read in a shortcut by most tails.
  void fill() {
    progress("filling the tail's disc");
    output_of({"fio", "--name=fill", "--ioengine=nbd", "--uri=" + tail_uri(), "--rw=write",
               "--bs=1m", "--iodepth=8"},
              scratch_.path());
  }

 private:
  std::string tail_uri() const { return fmt::format("nbd://[::1]:{}/", port_); }

  void start_tail() {
    port_ = free_port(static_cast<unsigned short>(20000 + ::getpid() % 10000));
    if (options_.tail == "qemu-nbd") {
      const std::filesystem::path image = scratch_ / "tail.img";
      std::ofstream{image};
      std::filesystem::resize_file(image, 1U << 30);
      tail_ = Process({"qemu-nbd", "-f", "raw", "-b", "::1", "-p", std::to_string(port_), "-t",
                       "--shared=0", image},
                      scratch_ / "tail.log");
    } else {
      tail_ = Process({"nbdkit", "-f", "-i", "::1", "-p", std::to_string(port_), "memory", "1G"},
                      scratch_ / "tail.log");
    }
    tail_.await("listening", [this] { return listens(port_); });
  }

  void add_headd(const std::string& name, const std::string& configuration) {
    auto& daemon = headds_.emplace_back(std::make_unique<Headd>(
        common_, scratch_, fmt::format("head{}", headds_.size()), configuration));
    daemon->headctl({"attach", "bench", tail_uri(), "--wait"});
    subjects_.push_back(
        {.name = name, .uri = unix_uri(daemon->socket_of("bench")), .pid = daemon->pid()});
  }

  void add_qemu_storage_daemon() {
    const std::filesystem::path socket = scratch_ / "qsd.sock";
    Process daemon({"qemu-storage-daemon", "--blockdev",
                    fmt::format("driver=nbd,node-name=n0,server.type=inet,server.host=::1,"
                                "server.port={}",
                                port_),
                    "--nbd-server", "addr.type=unix,addr.path=" + socket.string(), "--export",
                    "type=nbd,id=e0,node-name=n0,name=,writable=on"},
                   scratch_ / "qsd.log");
    add_peer("qemu-storage-daemon", socket, std::move(daemon));
  }

  void add_nbdkit_proxy() {
    const std::filesystem::path socket = scratch_ / "nbdkit.sock";
    Process daemon({"nbdkit", "-f", "-U", socket, "nbd", "uri=" + tail_uri()},
                   scratch_ / "nbdkit.log");
    add_peer("nbdkit nbd", socket, std::move(daemon));
  }

  void add_peer(const std::string& name, const std::filesystem::path& socket, Process daemon) {
    daemon.await("listening", [&] { return listens(socket); });
    subjects_.push_back({.name = name, .uri = unix_uri(socket), .pid = daemon.pid()});
    peers_.push_back(std::move(daemon));
  }

  const Common& common_;
  const NbdOptions& options_;
  Scratch scratch_;
  unsigned short port_ = 0;
  Process tail_;
  std::vector<std::unique_ptr<Headd>> headds_;
  std::vector<Process> peers_;
  std::vector<Subject> subjects_;
};

void measure(Subject& subject, std::size_t which, double seconds,
             const std::filesystem::path& scratch) {
  const double before = subject.pid >= 0 ? cpu_seconds(subject.pid) : 0;
  const FioResult result = run_fio(subject.uri, workloads()[which], seconds, scratch);
  subject.results[which].push_back(result);
  if (subject.pid >= 0)
    subject.cpu_us[which].push_back((cpu_seconds(subject.pid) - before) * 1e6 / result.requests);
}

double median_of(const std::vector<FioResult>& results, double FioResult::*member) {
  std::vector<double> values;
  for (const FioResult& result : results) values.push_back(result.*member);
  return median(values);
}

void report(const std::vector<Subject>& subjects, const Common& common, const NbdOptions& options) {
  Table table(fmt::format("tail {} on [::1], medians of {} rounds of {} s in turn{}", options.tail,
                          common.rounds, options.seconds,
                          common.spin ? ", a SCHED_IDLE spinner per CPU" : ""),
              {"workload", "through", "requests/s", "of headd's", "MB/s", "p50 us", "p99 us",
               "CPU us/request"});
  for (std::size_t i = 0; i < workloads().size(); ++i) {
    const double first = median_of(subjects.front().results[i], &FioResult::per_second);
    for (const Subject& subject : subjects) {
      const auto& results = subject.results[i];
      const double rate = median_of(results, &FioResult::per_second);
      table.add({workloads()[i].name, subject.name, rate, fmt::format("{:.2f}x", rate / first),
                 median_of(results, &FioResult::mb_per_second),
                 median_of(results, &FioResult::p50_us), median_of(results, &FioResult::p99_us),
                 subject.pid < 0 ? Table::Cell{} : Table::Cell{median(subject.cpu_us[i])}});
    }
  }
  table.print(common.json);
}

}  // namespace

void nbd(const Common& common, const NbdOptions& options) {
  warn_if_busy();
  Stage stage(common, options);
  stage.fill();
  for (Subject& subject : stage.subjects()) {
    subject.results.resize(workloads().size());
    subject.cpu_us.resize(workloads().size());
  }
  const Spinners spinners(common.spin);
  for (std::size_t i = 0; i < workloads().size(); ++i)
    for (unsigned round = 0; round < common.rounds; ++round) {
      for (Subject& subject : stage.subjects())
        measure(subject, i, options.seconds, stage.scratch());
      progress(fmt::format("{}: round {} of {}", workloads()[i].name, round + 1, common.rounds));
    }
  report(stage.subjects(), common, options);
}

}  // namespace bench
