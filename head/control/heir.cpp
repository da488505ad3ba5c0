#include "head/control/heir.hpp"

#include "head/base/locks.hpp"
#include "head/base/log.hpp"
#include "head/base/notify.hpp"
#include "head/control/descriptors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace head::control {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// Short: the names of all are one variable of the environment, of 128 KiB at most.
constexpr const char* document_name = "d";
constexpr const char* socket_name = "g";

std::vector<exports::HandedDisc> read(int document, std::vector<iouring::UniqueFd> sockets) {
  const auto bytes = read_memory_file(document);
  if (!bytes) throw std::runtime_error(bytes.error());
  auto read = parse_document(*bytes);
  if (!read.problem.empty()) throw std::runtime_error(read.problem);
  auto taken = std::move(read.discs);
  if (const std::size_t gone = take_descriptors(taken, std::move(sockets)); gone != 0)
    log::warning("headd: {} guests that were handed over have gone meanwhile", gone);
  return taken;
}

}  // namespace

Heir::Heir(int channel) : channel_(iouring::UniqueFd(iouring::adopt, channel)) {
  ::fcntl(channel, F_SETFD, FD_CLOEXEC);
  auto begin = hear(10s);
  if (begin.word != "begin")
    throw std::runtime_error("--take-over is for headd itself, not by hand");
  inherit_locks(std::move(begin.descriptors));
  const std::string& ready = begin.sentence;
  std::size_t count = 0;
  if (std::from_chars(ready.data(), ready.data() + ready.size(), count).ec == std::errc())
    ready_before_ = count;
  connections_come_ = ready.find(connections_come_word) != std::string::npos;
}

UpgradeChannel::Message Heir::hear(std::chrono::seconds within) const {
  auto heard = channel_.hear(Clock::now() + within);
  if (!heard)
    throw std::runtime_error("the headd that is to be taken over from is gone, or says nothing");
  return std::move(*heard);
}

Estate Heir::take_over() {
  channel_.say("ready");
  auto first = hear(10s);
  if (first.word != "guests" || first.descriptors.empty())
    throw std::runtime_error("the guests were not handed over; see the log of the other headd");
  std::vector<iouring::UniqueFd> sockets;
  for (;;) {
    auto more = hear(3s);
    if (more.word == "all") break;
    std::move(more.descriptors.begin(), more.descriptors.end(), std::back_inserter(sockets));
  }
  Estate estate{.discs = read(first.descriptors.front().fd(), std::move(sockets))};
  std::move(first.descriptors.begin() + 1, first.descriptors.end(),
            std::back_inserter(estate.listeners));
  channel_.say("taken");
  if (hear(5s).word != "go") throw std::runtime_error("the other headd keeps its guests");
  return estate;
}

bool Heir::is_owner(Clock::time_point until) const {
  const auto heard = channel_.hear(until);
  return heard ? heard->word == "yours" : channel_.is_over();
}

std::size_t put_in_store(std::vector<exports::HandedDisc> discs) {
  if (const std::size_t staying = count_staying(discs); staying != 0) {
    log::warning(
        "headd: {} sockets of discs and guests are not kept, as there are no descriptors left of "
        "the {} that headd may have; raise LimitNOFILE=; their guests connect again",
        staying, descriptors_here().most);
    // A listener that is not kept is opened anew; what follows needs descriptors.
    for (auto& disc : discs) disc.listener = {};
  }
  note_cookies(discs);
  auto sockets = descriptors_of(discs);
  std::size_t guests = 0, needed = 1;
  for (const auto& disc : discs) {
    guests += static_cast<std::size_t>(
        std::count_if(disc.sessions.begin(), disc.sessions.end(),
                      [](const auto& session) { return static_cast<bool>(session.socket); }));
    needed += disc.listener ? 1 : 0;
  }
  needed += guests;
  const std::size_t room = std::max<std::size_t>(notify::store_room(), 1) - 1;
  if (needed > room + 1) {
    log::warning(
        "headd: the service manager keeps {} descriptors, and {} are needed to keep the guests and "
        "the sockets that they connect to; raise FileDescriptorStoreMax= and FDSTORE in headd's "
        "unit; {} guests connect again",
        room + 1, needed, guests - std::min(guests, room));
    guests = std::min(guests, room);
  }
  sockets.resize(std::min(sockets.size(), room));
  if (sockets.empty()) return 0;
  const auto document = memory_file(to_document(discs));
  const int one = document.fd();
  if (!document || !notify::store(sockets, socket_name) ||
      !notify::store({&one, 1}, document_name)) {
    log::warning(
        "headd: the service manager did not take the guests' sockets: {}; they connect "
        "again",
        std::strerror(errno));
    return 0;
  }
  return guests;
}

std::vector<exports::HandedDisc> take_from_store() {
  auto found = notify::stored();
  std::vector<iouring::UniqueFd> sockets;
  iouring::UniqueFd document;
  for (auto& [name, fd] : found) {
    if (name == document_name)
      document = iouring::UniqueFd(iouring::adopt, fd);
    else
      sockets.emplace_back(iouring::adopt, fd);
  }
  if (!found.empty()) {
    notify::forget_stored(socket_name);
    notify::forget_stored(document_name);
  }
  if (!document) return {};
  try {
    return read(document.fd(), std::move(sockets));
  } catch (const std::exception& error) {
    log::error("headd: {}", error.what());
    return {};
  }
}

}  // namespace head::control
