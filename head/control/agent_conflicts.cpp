// Discs that are elsewhere than the catalogue says, and what their tails offer. The wire is
// followed at once; what the catalogue says is settled here, on a thread of its own, as it takes
// reading and writing files.
#include "head/base/log.hpp"
#include "head/base/post_mortem.hpp"
#include "head/control/agent.hpp"
#include "netlink/format.hpp"

#include <chrono>
#include <utility>

namespace head::control {

using catalogue::DiscSpec;

namespace {

// Between two times that the catalogue is read and written on account of conflicts.
constexpr std::chrono::milliseconds settle_every{1000};
// The same on account of shapes: thousands may be told of in a few seconds.
constexpr std::chrono::milliseconds remember_every{200};

// What the catalogue is to say of a disc that is elsewhere, if that settles it: `edited` is what
// somebody wrote into it meanwhile, or null. Pure.
//   a newer generation, or the address of the wire: that is taken over;
//   no generation at all: nobody keeps count, and the wire's word is, once somebody answered there;
//   otherwise whoever gives generations says so with a newer one, by `headctl move`.
std::optional<DiscSpec> settled(const DiscSpec& spec, const DiscSpec* edited,
                                const neigh::Conflict& conflict) {
  DiscSpec after = spec;
  const bool newer = edited && edited->lladdr && edited->generation > spec.generation;
  const bool agrees = edited && edited->lladdr == conflict.lladdr;
  if (newer || (agrees && edited->generation == spec.generation)) {
    after.lladdr = edited->lladdr;
    after.generation = edited->generation;
    after.lladdr_seen = false;
    return after;
  }
  if (spec.generation > 0 || !conflict.answered) return {};
  after.lladdr = conflict.lladdr;
  after.lladdr_seen = true;
  return after;
}

}  // namespace

void Agent::note(const std::vector<neigh::Conflict>& conflicts) {
  {
    const std::lock_guard lock(conflicts_lock_);
    for (const neigh::Conflict& conflict : conflicts) conflicts_[conflict.disc] = conflict;
  }
  conflicts_came_.notify_one();
}

void Agent::note(catalogue::Shape shape) {
  {
    const std::lock_guard lock(conflicts_lock_);
    shapes_[shape.name] = std::move(shape);
  }
  conflicts_came_.notify_one();
}

void Agent::note_proof(const std::string& disc) {
  {
    const std::lock_guard lock(conflicts_lock_);
    proofs_.insert(disc);
  }
  conflicts_came_.notify_one();
}

void Agent::settle_conflicts(const std::stop_token& stop) {
  post_mortem::guard_thread();
  for (bool last = false; !last;) {
    std::map<std::string, neigh::Conflict> conflicts;
    Shapes shapes;
    {
      std::unique_lock lock(conflicts_lock_);
      const auto any = [this] {
        return !conflicts_.empty() || !shapes_.empty() || !proofs_.empty();
      };
      if (!conflicts_came_.wait(lock, stop, any)) return;
      last = stop.stop_requested();  // What is there is tried once more, whatever comes of it.
      conflicts.swap(conflicts_);
      shapes.swap(shapes_);
    }
    const auto pause = conflicts.empty() ? remember_every : settle_every;
    {
      const std::shared_lock change(changes_lock_);
      if (ownership_ != Ownership::owner) {
        // The catalogue is another headd's as well: later, unless something newer is said.
        const std::lock_guard lock(conflicts_lock_);
        conflicts_.merge(conflicts);
        shapes_.merge(shapes);
      } else {
        if (!conflicts.empty()) settle(conflicts);
        if (!shapes.empty()) settle(std::move(shapes));
        settle_proofs();
      }
    }
    std::unique_lock lock(conflicts_lock_);
    conflicts_came_.wait_for(lock, stop, pause, [] { return false; });
  }
}

void Agent::settle(const std::map<std::string, neigh::Conflict>& conflicts) {
  catalogue::StoredDiscs edited;
  try {
    edited = store_.edited();
  } catch (const std::exception& error) {
    log::warning("a conflict cannot be settled: {}", error.what());
    return;
  }
  std::vector<DiscSpec> specs;
  {
    const std::lock_guard lock(lock_);
    for (const auto& [name, conflict] : conflicts) {
      const auto at = discs_.find(name);
      // Whoever is moving or detaching it settles it.
      if (at == discs_.end() || at->second.going || is_pending(name)) continue;
      const auto found = edited.find(name);
      auto spec = settled(*at->second.spec, found != edited.end() ? &found->second.spec : nullptr,
                          conflict);
      if (!spec || *spec == *at->second.spec) continue;
      at->second.changing = true;
      specs.push_back(std::move(*spec));
    }
  }
  if (specs.empty()) return;
  log::info("{} discs are elsewhere than the catalogue said, which says so now ({} at {})",
            specs.size(), specs.front().name, netlink::to_string(*specs.front().lladdr));
  const auto kept = put_moved(specs, neigh::Source::catalogue, std::chrono::seconds(0));
  if (!kept) log::warning("a conflict cannot be settled: {}", kept.error().sentence);
}

void Agent::settle(Shapes shapes) {
  std::vector<catalogue::Shape> list;
  for (const auto& [name, shape] : shapes) list.push_back(shape);
  try {
    store_.remember(list);
  } catch (const std::exception& error) {
    static log::RateLimit limit;
    if (const auto pass = limit.pass(std::chrono::steady_clock::now()))
      log::warning(
          "what the tails of {} discs offer cannot be remembered: {}; it is tried again, and until "
          "then a headd that begins while they are away does not know it ({} more like it)",
          list.size(), error.what(), pass->held);
    const std::lock_guard lock(conflicts_lock_);
    shapes_.merge(shapes);  // Unless something newer was said.
  }
}

// What was told is said with it: a proof is of no use once something else is.
void Agent::settle_proofs() {
  std::set<std::string> proofs, later;
  {
    const std::lock_guard lock(conflicts_lock_);
    proofs.swap(proofs_);
  }
  if (proofs.empty()) return;
  std::vector<catalogue::Proof> list;
  {
    const std::lock_guard lock(lock_);
    for (const std::string& name : proofs) {
      const auto at = discs_.find(name);
      if (at == discs_.end()) continue;
      const Disc& disc = at->second;
      if (disc.changing) {
        later.insert(name);
        continue;
      }
      const std::uint64_t rumour = disc.stats->proven_rumour();
      list.push_back(
          {.name = name,
           .told = catalogue::told_of(*disc.spec),
           .lladdr = rumour != 0 ? std::optional(netlink::mac_of(rumour)) : std::nullopt});
    }
  }
  try {
    store_.prove(list);
  } catch (const std::exception& error) {
    static log::RateLimit limit;
    if (const auto pass = limit.pass(std::chrono::steady_clock::now()))
      log::warning(
          "where {} discs were proven to be cannot be written down: {}; it is tried again, and a "
          "headd that begins anew until then has them held ({} more like it)",
          list.size(), error.what(), pass->held);
    for (const catalogue::Proof& proof : list) later.insert(proof.name);
  }
  const std::lock_guard lock(conflicts_lock_);
  proofs_.merge(later);
}

}  // namespace head::control
