// What the benchmarks of head-bench have in common. Subjects that are compared take turns within
// one run (A B A B), every figure is the median of the rounds, and nothing is compared across runs.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace bench {

struct Common {
  std::filesystem::path bin;  // Where headd and headctl are.
  unsigned rounds = 3;
  bool json = false;
  bool spin = true;
};

// One line on standard error.
void progress(const std::string& line);

// Says so when other processes are at work: call it before the first measurement.
void warn_if_busy();

double median(std::vector<double> values);  // 0 when there are none.

// Keeps every processor from idling while it lives, with threads that yield to any other
// (SCHED_IDLE): without them a small request's latency is mostly the wake-up of a virtual CPU.
class Spinners {
 public:
  explicit Spinners(bool wanted);
  Spinners(const Spinners&) = delete;
  Spinners& operator=(const Spinners&) = delete;

 private:
  std::vector<std::jthread> threads_;
};

// Results, printed for people or as JSON: an array of objects that have the columns as keys.
class Table {
 public:
  using Cell = std::variant<std::monostate, std::string, double>;

  Table(std::string title, std::vector<std::string> columns);

  void add(std::vector<Cell> row);
  void print(bool json) const;

 private:
  std::string title_;
  std::vector<std::string> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Whether something listens there: a Unix socket, or a TCP port of ::1.
bool listens(const std::filesystem::path& socket);
bool listens(unsigned short port);

}  // namespace bench
