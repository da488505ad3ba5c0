#include "tests/ownership/heads.hpp"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <utility>

namespace head::ownership {

using Stop = Actor::Stop;
using Order = Actor::Order;

namespace {

constexpr std::size_t discs_max = 100;

void stop_or_end(Stop stop) {
  if (Actor::stop(stop) == Order::fail) throw std::runtime_error("it was to fail here");
}

}  // namespace

void SteppedStore::put(std::span<const catalogue::DiscSpec> specs) {
  stop_or_end(Stop::put);
  Store::put(specs);
}

void SteppedStore::remove(std::span<const std::string> names) {
  stop_or_end(Stop::put);
  Store::remove(names);
}

RealHead::RealHead(const std::filesystem::path& folder) : folder_(folder) {
  make();
  agent->restore();
}

RealHead::RealHead(const std::filesystem::path& folder, iouring::UniqueFd channel,
                   iouring::UniqueFd helper)
    : folder_(folder),
      channel_copy_(iouring::adopt, ::fcntl(channel.fd(), F_DUPFD_CLOEXEC, 0)),
      helper_(std::move(helper)) {
  main = std::make_unique<Actor>([this, fd = channel.release()] { take_over(fd); });
}

RealHead::~RealHead() {
  // The other one hears that this one is gone, and nothing that it says from now on.
  if (channel_copy_) ::shutdown(channel_copy_.fd(), SHUT_RDWR);
  main.reset();
  upgrade.reset();
  upgrader.reset();
  agent.reset();
  store.reset();
}

// serve(), from the store to the upgrader.
void RealHead::make() {
  store = std::make_unique<SteppedStore>(folder_ / "state");
  std::vector<std::unique_ptr<control::DataThread>> threads;
  threads.push_back(std::make_unique<test::FakeThread>());
  agent = std::make_unique<control::Agent>(*store, std::make_unique<test::FakeNeighbours>(),
                                           std::move(threads), discs_max);
  inheritance_ = std::make_shared<control::Inheritance>();
  upgrader = std::make_unique<control::Upgrader>(
      *agent, inheritance_,
      control::Upgrader::Options{.binary = folder_ / "next",
                                 .arguments = {},
                                 .locks = {store->owner_lock()},
                                 .changes_first = std::chrono::milliseconds(0)});
}

// main() and serve() of a headd that takes over, in their order. A change of that order there has
// to be made here as well, and in model.cpp.
void RealHead::take_over(int channel) {
  try {
    heir_.emplace(channel);
    make();
    inheritance_->await(true);
    agent->await_ownership();
    agent->restore();
    auto estate = heir_->take_over();
    inheritance_->arrive(std::move(estate.discs));
    agent->take_up();
    stop_or_end(Stop::open_api);
    stop_or_end(Stop::say_serving);
    heir_->serving();
    while (!heir_->is_owner(std::chrono::steady_clock::now() + std::chrono::seconds(10)))
      if (Actor::here()->is_abandoned()) return;
    agent->own();
  } catch (const std::exception& error) {
    if (heir_) heir_->say_no(error.what());
  }
}

// POST /v1/upgrade.
void RealHead::ask_upgrade() {
  upgraded.reset();
  upgrade = std::make_unique<Actor>([this] { upgraded = upgrader->upgrade({}); });
}

// Not of one that would begin it.
bool RealHead::refuses_upgrades() {
  const auto done = upgrader->upgrade({});
  return !done && done.error().under_way;
}

bool RealHead::refuses_changes() {
  const auto refusal = agent->detach("nobody-has-this-name");
  return refusal && refusal->why == control::Refusal::Why::upgrading;
}

iouring::UniqueFd helper_socket(const std::string& path, bool listens) {
  iouring::UniqueFd fd(iouring::adopt, ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* at = reinterpret_cast<const sockaddr*>(&address);
  const bool done = listens ? ::bind(fd.fd(), at, sizeof address) == 0 && ::listen(fd.fd(), 4) == 0
                            : ::connect(fd.fd(), at, sizeof address) == 0;
  if (!done) throw std::system_error(errno, std::generic_category(), path);
  return fd;
}

int relay(const std::string& path) {
  const control::UpgradeChannel channel(helper_socket(path, false));
  constexpr int theirs = 3;
  channel.say("channel", {}, std::span(&theirs, 1));
  ::close(theirs);
  channel.say("closed");
  channel.hear(std::chrono::steady_clock::now() + std::chrono::seconds(60));
  return 0;
}

}  // namespace head::ownership
