#include "tools/bench/bench.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace bench {
namespace {

void spin(const std::stop_token& stop, unsigned cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  pthread_setaffinity_np(pthread_self(), sizeof one, &one);
  const sched_param none{};
  if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) != 0) return;
  while (!stop.stop_requested()) {
  }
}

bool can_connect(int family, const sockaddr* address, socklen_t size) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool yes = fd >= 0 && ::connect(fd, address, size) == 0;
  if (fd >= 0) ::close(fd);
  return yes;
}

std::string text_of(const Table::Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  const auto* number = std::get_if<double>(&cell);
  if (number == nullptr) return "-";
  if (*number >= 100) return fmt::format("{:.0f}", *number);
  return *number >= 10 ? fmt::format("{:.1f}", *number) : fmt::format("{:.2f}", *number);
}

// Names to the left, figures to the right.
void print_line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i < 2) {
      fmt::print("{:<{}}  ", cells[i], widths[i]);
    } else {
      fmt::print("{:>{}}  ", cells[i], widths[i]);
    }
  }
  fmt::print("\n");
}

}  // namespace

void progress(const std::string& line) {
  fmt::print(stderr, "{}\n", line);
}

void warn_if_busy() {
  double load = 0;
  const double processors = std::thread::hardware_concurrency();
  if (::getloadavg(&load, 1) == 1 && load > processors / 4)
    progress(fmt::format("warning: this machine is busy (load {:.1f}); its figures will be noisy",
                         load));
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Spinners::Spinners(bool wanted) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (!wanted || ::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) threads_.emplace_back(spin, cpu);
}

Table::Table(std::string title, std::vector<std::string> columns)
    : title_(std::move(title)), columns_(std::move(columns)) {}

void Table::add(std::vector<Cell> row) {
  if (row.size() != columns_.size()) throw std::logic_error("a row of " + title_ + " has gaps");
  rows_.push_back(std::move(row));
}

void Table::print(bool json) const {
  if (json) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const auto& row : rows_) {
      auto& object = rows.emplace_back(nlohmann::ordered_json::object());
      for (std::size_t i = 0; i < row.size(); ++i) {
        auto& value = object[columns_[i]];
        if (const auto* text = std::get_if<std::string>(&row[i])) value = *text;
        if (const auto* number = std::get_if<double>(&row[i])) value = *number;
      }
    }
    fmt::print("{}\n", nlohmann::ordered_json{{"title", title_}, {"rows", rows}}.dump(2));
    return;
  }
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = columns_[i].size();
    for (const auto& row : rows_) width = std::max(width, text_of(row[i]).size());
    widths.push_back(width);
  }
  fmt::print("\n{}\n", title_);
  print_line(columns_, widths);
  for (const auto& row : rows_) {
    std::vector<std::string> cells;
    for (const Cell& cell : row) cells.push_back(text_of(cell));
    print_line(cells, widths);
  }
}

bool listens(const std::filesystem::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = socket.string();
  if (name.size() >= sizeof address.sun_path) throw std::runtime_error(name + " is too long");
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  return can_connect(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

bool listens(unsigned short port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_addr = in6addr_loopback;
  return can_connect(AF_INET6, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

}  // namespace bench
