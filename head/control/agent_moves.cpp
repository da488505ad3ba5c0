// Discs whose tails change: who says so, and what follows for their connections.
#include "head/base/log.hpp"
#include "head/control/agent_wants.hpp"
#include "netlink/format.hpp"
#include "netlink/link.hpp"
#include "netlink/socket.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <unordered_set>

namespace head::control {

using catalogue::DiscSpec;

namespace {

// The keeper gives every disc its answer, sooner or later.
class Countdown {
 public:
  explicit Countdown(std::size_t from) : left_(from) {}

  void count(bool kept) {
    const std::lock_guard lock(lock_);
    kept_ += kept ? 1 : 0;
    if (left_ > 0 && --left_ == 0) none_left_.notify_all();
  }
  // How many are kept; all that are not answered by then count as not kept.
  std::size_t wait(std::chrono::seconds most) {
    std::unique_lock lock(lock_);
    none_left_.wait_for(lock, most, [this] { return left_ == 0; });
    return kept_;
  }

 private:
  std::mutex lock_;
  std::condition_variable none_left_;
  std::size_t left_, kept_ = 0;
};

std::vector<netlink::Link> links_of_this_host() {
  netlink::Socket socket;
  std::vector<netlink::Link> links;
  netlink::dump_links(socket, links);
  return links;
}

}  // namespace

// As they are to be, of discs that there are.
Result<std::vector<DiscSpec>, Refusal> Agent::moved(const std::vector<Move>& moves) const {
  std::vector<DiscSpec> specs;
  const std::vector<netlink::Link> own = links_of_this_host();
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < moves.size(); ++i) {
    const Move& move = moves[i];
    const auto refuse = [&](Refusal refusal) {
      refusal.index = i;
      return Failure{std::move(refusal)};
    };
    if (!names.insert(move.disc).second)
      return refuse({Refusal::Why::duplicate,
                     fmt::format("disc {} is in the list twice; leave one out", move.disc)});
    const auto at = discs_.find(move.disc);
    if (at == discs_.end()) return refuse(no_such_disc(move.disc));
    if (at->second.going)
      return refuse({Refusal::Why::detaching,
                     fmt::format("disc {} is being detached; it cannot be moved", move.disc)});
    DiscSpec spec = *at->second.spec;
    const auto tail = tails_.find(move.to);
    if (!move.lladdr && tail == tails_.end())
      return refuse({Refusal::Why::no_such_tail,
                     fmt::format("there is no tail {}; [tails] in head.toml gives them names",
                                 move.to.substr(0, 80))});
    const netlink::Mac lladdr = move.lladdr ? *move.lladdr : tail->second;
    const std::uint64_t next = move.generation.value_or(spec.generation + 1);
    if (next > catalogue::generation_max)
      return refuse({Refusal::Why::outdated,
                     fmt::format("disc {} is of the last generation that there is, {}; detach it "
                                 "and attach it anew",
                                 move.disc, spec.generation)});
    if (std::any_of(own.begin(), own.end(),
                    [&](const netlink::Link& link) { return link.lladdr == lladdr; }))
      return refuse({Refusal::Why::duplicate,
                     fmt::format("{} is a link-layer address of this host, where disc {} is not; "
                                 "give the tail's",
                                 netlink::to_string(lladdr), move.disc)});
    if (next <= spec.generation && spec.lladdr != lladdr)
      return refuse({Refusal::Why::outdated,
                     fmt::format("disc {} is of generation {} already and this says {}; give a "
                                 "newer one, or none",
                                 move.disc, spec.generation, next)});
    spec.generation = std::max(next, spec.generation);
    spec.lladdr = lladdr;
    spec.lladdr_seen = false;
    specs.push_back(std::move(spec));
  }
  return specs;
}

Result<std::size_t, Refusal> Agent::move(const std::vector<Move>& moves) {
  const std::shared_lock change(changes_lock_);
  if (ownership_ != Ownership::owner) return Failure{upgrading()};
  std::vector<DiscSpec> specs;
  {
    std::unique_lock lock(lock_);
    begun_.wait(lock, [&] {
      return std::none_of(moves.begin(), moves.end(),
                          [&](const Move& move) { return is_pending(move.disc); });
    });
    auto wanted = moved(moves);
    if (!wanted) return Failure{wanted.error()};
    specs = std::move(*wanted);
    for (const DiscSpec& spec : specs) discs_.at(spec.name).changing = true;
  }
  constexpr std::chrono::seconds patience{10};
  return put_moved(specs, neigh::Source::operator_, patience);
}

Result<std::size_t, Refusal> Agent::put_moved(const std::vector<DiscSpec>& specs,
                                              neigh::Source source, std::chrono::seconds patience) {
  const auto countdown = std::make_shared<Countdown>(specs.size());
  std::optional<Refusal> refusal;
  try {
    store_.put(specs);
    want_moved(specs, source, [countdown](bool kept) { countdown->count(kept); });
  } catch (const std::exception& error) {
    refusal = Refusal{Refusal::Why::not_stored, error.what()};
  }
  {
    // Only now may others move them: what they say must come to the keeper after this.
    const std::lock_guard lock(lock_);
    for (const DiscSpec& spec : specs)
      if (const auto at = discs_.find(spec.name); at != discs_.end()) at->second.changing = false;
  }
  begun_.notify_all();
  if (refusal) return Failure{std::move(*refusal)};
  bell_.ring();
  return countdown->wait(patience);
}

void Agent::set_tails(std::map<std::string, netlink::Mac> tails) {
  const std::lock_guard lock(lock_);
  tails_ = std::move(tails);
}

void Agent::want_moved(const std::vector<DiscSpec>& specs, neigh::Source source,
                       std::function<void(bool kept)> told) {
  std::unordered_map<std::string, std::uint64_t> batches;
  std::vector<neigh::Want> wants;
  {
    const std::lock_guard lock(lock_);
    for (const DiscSpec& spec : specs) {
      const auto at = discs_.find(spec.name);
      const bool wanted = at != discs_.end() && at->second.stage != Stage::failed;
      if (at != discs_.end()) at->second.spec = std::make_shared<const DiscSpec>(spec);
      if (!wanted) {
        told(false);
        continue;
      }
      batches[spec.name] = at->second.batch;
      wants.push_back(want_of(spec, at->second.stats, source));
    }
  }
  if (!wants.empty())
    neighbours_->want(std::move(wants),
                      [this, told = std::move(told), batches = std::move(batches)](
                          const std::string& name, const neigh::BindingStatus& status) {
                        // It may have waited for its first answer until now.
                        post(neighbour_event(name, batches.at(name), status));
                        told(status.ready());
                      });
}

Agent::Event Agent::neighbour_event(const std::string& name, std::uint64_t batch,
                                    const neigh::BindingStatus& status) {
  return {.what = Event::What::neighbour,
          .disc = name,
          .batch = batch,
          .problem = status.problem,
          .refused = status.state == neigh::BindingState::refused};
}

}  // namespace head::control
