#include "tests/ownership/play.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <utility>

namespace head::ownership {

using namespace std::chrono_literals;
using Order = Actor::Order;
using Stage = Client::Stage;
using Stop = Actor::Stop;
using What = Step::What;

namespace {

std::optional<std::string> expect(Actor& actor, Stop wanted) {
  const Stop at = actor.where();
  if (at == wanted) return std::nullopt;
  return fmt::format("it stops at {}, not at {}", static_cast<int>(at), static_cast<int>(wanted));
}

// After the new headd was given up: it may have ended before.
std::optional<std::string> expect_given_up(Actor& actor) {
  const Stop at = actor.where();
  if (at == Stop::kill || at == Stop::buried) return std::nullopt;
  return fmt::format("it does not give up, and stops at {}", static_cast<int>(at));
}

std::uint8_t mask_of(const std::vector<catalogue::DiscSpec>& discs) {
  unsigned mask = 0;
  for (std::size_t i = 0; i < clients_max; ++i)
    for (const auto& disc : discs)
      if (disc.name == name_of_disc(i)) mask |= 1U << i;
  return static_cast<std::uint8_t>(mask);
}

bool is_before_rename(const State& state, std::size_t head) {
  return std::any_of(state.clients.begin(), state.clients.end(), [&](const Client& client) {
    return client.head == head &&
           (client.stage == Stage::entered || client.stage == Stage::written);
  });
}

}  // namespace

Play::Play(const Model& model)
    : model_(model), listener_(helper_socket(folder_ / "helpers", true)) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::ofstream(folder_ / "next") << fmt::format("#!/bin/sh\nexec '{}' --relay '{}'\n",
                                                 self.string(), folder_ / "helpers");
  std::filesystem::permissions(folder_ / "next", std::filesystem::perms::owner_all);
  {
    catalogue::Store store(folder_ / "state");
    for (std::size_t i = 0; i < model.clients(); ++i) {
      const auto disc = test::a_disc(name_of_disc(i));
      if (!model.is_attach(i)) store.put(std::span(&disc, 1));
    }
  }
  heads_[0] = std::make_unique<RealHead>(folder_.path);
}

Play::~Play() {
  for (std::size_t i = 0; i < heads_max; ++i) bury(i);
  for (const pid_t pid : helpers_) ::waitpid(pid, nullptr, 0);
}

bool Play::is_accepted(std::size_t client) const {
  const RealClient& real = clients_.at(client);
  return real.actor && real.actor->where_now() == Stop::finished && !real.refusal &&
         real.head != nobody;
}

std::uint8_t Play::file() const {
  std::ifstream in(folder_ / "state/discs.json");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto discs = catalogue::parse_text(text);
  if (!discs) return 0;
  std::vector<catalogue::DiscSpec> list;
  for (const auto& [name, disc] : *discs) list.push_back(disc.spec);
  return mask_of(list);
}

std::optional<std::string> Play::make(const Step& step, const State& before, const State& after) {
  std::optional<std::string> why;
  switch (step.what) {
    case What::enter:
    case What::write:
    case What::rename:
    case What::answer:
      why = make_change(step, after);
      break;
    case What::ask_upgrade:
    case What::spawn:
    case What::hear:
    case What::time_out:
    case What::say_yours:
    case What::kill_heir:
    case What::thaw_old:
      why = make_upgrade(step, after);
      break;
    case What::heir_hears:
    case What::heir_times_out:
    case What::heir_fails:
    case What::open_api:
    case What::say_serving:
    case What::thaw_new:
      why = make_heir(step, before, after);
      break;
    default:
      why = make_outside(step, before);
  }
  return why ? why : compare(after);
}

void Play::enter(const Step& step) {
  RealClient& real = clients_.at(step.client);
  real.head = step.head;
  control::Agent& agent = *heads_.at(step.head)->agent;
  const auto name = name_of_disc(step.client);
  const bool attaches = model_.is_attach(step.client);
  real.actor = std::make_unique<Actor>([&real, &agent, name, attaches] {
    real.refusal = attaches ? agent.attach(test::a_disc(name)) : agent.detach(name);
  });
}

std::optional<std::string> Play::make_change(const Step& step, const State& after) {
  if (step.what == What::enter) enter(step);
  RealClient& real = clients_.at(step.client);
  if (step.what == What::write || step.what == What::rename) real.actor->go();
  switch (after.clients.at(step.client).stage) {
    case Stage::entered:
      return expect(*real.actor, Stop::put);
    case Stage::written:
      return expect(*real.actor, Stop::rename);
    default:
      break;
  }
  if (auto why = expect(*real.actor, Stop::finished)) return why;
  const bool refused = after.clients.at(step.client).stage == Stage::refused;
  if (refused == real.refusal.has_value()) return std::nullopt;
  return refused ? "the real headd accepts the change"
                 : "the real headd refuses: " + real.refusal->sentence;
}

std::optional<std::string> Play::ask_upgrade(RealHead& head, const State& after,
                                             std::size_t number) {
  head.ask_upgrade();
  bool waits = false;  // For changes that are under way.
  for (const Client& client : after.clients) waits = waits || client.head == number;
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (std::chrono::steady_clock::now() < until) {
    const Stop at = head.upgrade->where_now();
    if (at == Stop::spawn || (waits && head.refuses_changes())) return std::nullopt;
    if (at == Stop::finished)
      return "the real headd refuses the upgrade: " + (head.upgraded && !*head.upgraded
                                                           ? head.upgraded->error().sentence
                                                           : std::string("?"));
    std::this_thread::sleep_for(200us);
  }
  return "the real headd does not begin the upgrade";
}

std::optional<std::string> Play::receive_heir(std::size_t number) {
  iouring::UniqueFd helper(iouring::adopt,
                           ::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  ucred peer{};
  socklen_t size = sizeof peer;
  ::getsockopt(helper.fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
  helpers_.push_back(peer.pid);
  const int copy = ::fcntl(helper.fd(), F_DUPFD_CLOEXEC, 0);
  const control::UpgradeChannel said{iouring::UniqueFd(iouring::adopt, copy)};
  const auto until = std::chrono::steady_clock::now() + 10s;
  auto channel = said.hear(until);
  if (!channel || channel->descriptors.size() != 1 || !said.hear(until))
    return "the helper program does not give its channel";
  heads_.at(number) = std::make_unique<RealHead>(
      folder_.path, std::move(channel->descriptors.front()), std::move(helper));
  return expect(*heads_.at(number)->main, Stop::hear);
}

std::optional<std::string> Play::make_upgrade(const Step& step, const State& after) {
  RealHead& head = *heads_.at(step.head);
  const Head& now = after.heads.at(step.head);
  if (step.what == What::ask_upgrade) return ask_upgrade(head, after, step.head);
  Actor& actor = *head.upgrade;
  if (step.what == What::spawn) {
    if (auto why = expect(actor, Stop::spawn)) return why;
    actor.go(now.child == nobody ? Order::fail : Order::go);
    if (now.child == nobody) return expect(actor, Stop::finished);
    if (auto why = expect(actor, Stop::hear)) return why;
    return receive_heir(now.child);
  }
  if (step.what == What::time_out) actor.go(Order::fail);
  if (step.what == What::hear || step.what == What::say_yours) actor.go();
  if (step.what == What::kill_heir) {
    if (now.child == nobody) return std::nullopt;
    if (actor.where() == Stop::kill) actor.go();
    bury(now.child);
    return expect(actor, Stop::buried);
  }
  if (step.what == What::thaw_old) {
    actor.go();
    if (auto why = expect(actor, Stop::finished)) return why;
    if (*head.upgraded) return "the real headd says that the upgrade succeeded";
    return std::nullopt;
  }
  if (now.attempt == Attempt::kills) return expect_given_up(actor);
  if (now.attempt == Attempt::says_yours) return expect(actor, Stop::say_yours);
  if (now.attempt != Attempt::none) return expect(actor, Stop::hear);
  if (auto why = expect(actor, Stop::finished)) return why;
  if (!*head.upgraded) return "the real upgrade fails: " + head.upgraded->error().sentence;
  return actor.sent_sigterm() ? std::nullopt
                              : std::optional<std::string>("the real headd does not end itself");
}

std::optional<std::string> Play::make_heir(const Step& step, const State& before,
                                           const State& after) {
  Actor& actor = *heads_.at(step.head)->main;
  const bool hears_more = before.heads.at(step.head).main == Main::hears_guests;
  const bool fails = step.what == What::heir_times_out || step.what == What::heir_fails;
  actor.go(fails ? Order::fail : Order::go);
  std::optional<std::string> why;
  switch (after.heads.at(step.head).main) {
    case Main::gone:
      why = expect(actor, Stop::finished);
      bury(step.head);
      return why;
    case Main::has_guests:
      return expect(actor, Stop::open_api);
    case Main::says_serving:
      return expect(actor, Stop::say_serving);
    case Main::thaws:
      return expect(actor, Stop::hear);
    case Main::runs:
      return expect(actor, Stop::finished);
    default:
      break;
  }
  why = expect(actor, Stop::hear);
  if (why || !hears_more) return why;
  actor.go();  // "guests" is heard; "all" comes after it.
  return expect(actor, Stop::hear);
}

std::optional<std::string> Play::make_outside(const Step& step, const State& before) {
  if (step.what == What::fresh_start)
    heads_.at(step.head) = std::make_unique<RealHead>(folder_.path);
  if (step.what == What::kill_9) bury(step.head);
  if (step.what == What::told_to_end) heads_.at(step.head)->upgrader->cancel();
  if (step.what != What::end) return std::nullopt;
  const bool handed_over = heads_.at(step.head)->upgrader->handed_over();
  bury(step.head);
  if (handed_over == (before.heads.at(step.head).handed_over != 0)) return std::nullopt;
  return "the real headd ends as if it had handed over, or had not";
}

// As the kernel does it, whatever its threads were about to do.
void Play::bury(std::size_t number) {
  if (!heads_.at(number)) return;
  for (RealClient& real : clients_) {
    if (real.head != number || real.actor->where() == Stop::finished) continue;
    real.actor.reset();
    real.head = nobody;
  }
  heads_.at(number).reset();
}

std::optional<std::string> Play::compare(const State& after) {
  if (file() != after.file)
    return fmt::format("discs.json has {}, in the model {}", names_of_discs(file()),
                       names_of_discs(after.file));
  if (std::filesystem::exists(folder_ / "state/discs.json.new") != (after.next_exists != 0))
    return "discs.json.new is there, or is not";
  std::size_t owners = 0;
  for (std::size_t i = 0; i < heads_max; ++i) {
    if (is_alive(after.heads.at(i)) != (heads_.at(i) != nullptr))
      return fmt::format("headd {} is there, or is not", name_of_head(i));
    if (!heads_.at(i) || !heads_.at(i)->store) continue;
    if (after.heads.at(i).main == Main::hears_begin) continue;
    const std::uint8_t memory = mask_of(heads_.at(i)->store->discs());
    if (memory != after.heads.at(i).memory)
      return fmt::format("headd {} has {} in memory, in the model {}", name_of_head(i),
                         names_of_discs(memory), names_of_discs(after.heads.at(i).memory));
    const bool asks = after.heads.at(i).attempt == Attempt::freezes;  // It may be about to.
    if (asks && is_before_rename(after, i) && heads_.at(i)->upgrade->where_now() == Stop::spawn)
      return fmt::format("headd {} does not wait for a change that is under way", name_of_head(i));
    if (asks) continue;
    const bool refuses = heads_.at(i)->refuses_changes();
    if (refuses != (after.heads.at(i).frozen != 0))
      return fmt::format("headd {} refuses changes, or does not", name_of_head(i));
    const bool may_be_asked = has_api(after.heads.at(i)) && after.heads.at(i).main != Main::ends;
    if (refuses && may_be_asked && !heads_.at(i)->refuses_upgrades())
      return fmt::format("headd {} would begin an upgrade, and is not the owner", name_of_head(i));
    if (!refuses && ++owners > 1) return "two headds take changes";
  }
  return std::nullopt;
}

}  // namespace head::ownership
