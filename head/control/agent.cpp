#include "head/control/agent.hpp"

#include "head/base/log.hpp"
#include "head/control/agent_wants.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <stdexcept>
#include <unordered_set>
#include <utility>

namespace head::control {

namespace {

using catalogue::DiscSpec;

constexpr std::size_t imports_kept = 64;

// Batches, and so imports, have other numbers than those of a daemon that was here before; they
// stay below 2^53, which every reader of JSON can tell apart, for two centuries.
std::uint64_t batch_before(std::chrono::system_clock::time_point start) {
  using std::chrono::milliseconds;
  const auto since_1970 = std::chrono::duration_cast<milliseconds>(start.time_since_epoch());
  return static_cast<std::uint64_t>(since_1970.count()) << 10;
}

// Whoever says again what was said before a move, or an operator's order, says nothing new, nor
// does who says what was said before the wire knew better.
DiscSpec with_newest(const DiscSpec& attached, DiscSpec said) {
  said.order = attached.order;
  const bool overruled = attached.lladdr_seen && said.generation == attached.generation;
  if (said.generation < attached.generation || overruled) {
    said.generation = attached.generation;
    said.lladdr = attached.lladdr;
    said.lladdr_seen = attached.lladdr_seen;
  }
  return said;
}

}  // namespace

Agent::Agent(catalogue::Store& store, std::unique_ptr<Neighbours> neighbours,
             std::vector<std::unique_ptr<DataThread>> threads, std::size_t discs_max)
    : store_(store),
      discs_max_(discs_max),
      loads_(threads.size()),
      last_batch_(batch_before(std::chrono::system_clock::now())),
      neighbours_(std::move(neighbours)),
      threads_(std::move(threads)) {
  if (threads_.empty()) throw std::invalid_argument("an agent needs at least one data thread");
  worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
  neighbours_->tell_moves([this](const std::vector<std::string>& discs) {
    for (const std::string& disc : discs) post({.what = Event::What::moved, .disc = disc});
  });
  settler_ = std::jthread([this](const std::stop_token& stop) { settle_conflicts(stop); });
  neighbours_->tell_conflicts(
      [this](const std::vector<neigh::Conflict>& conflicts) { note(conflicts); });
}

Agent::~Agent() {
  settler_.request_stop();
  settler_.join();
  worker_.request_stop();
  worker_.join();
  threads_.clear();  // They use the keeper.
  neighbours_.reset();
}

void Agent::restore() {
  const std::vector<DiscSpec> specs = store_.discs();
  std::uint64_t batch = 0;
  {
    const std::lock_guard lock(lock_);
    batch = add(specs, 0);
  }
  if (!specs.empty()) log::info("{} discs come back from the state directory", specs.size());
  begin(specs, batch, neigh::Source::catalogue);
}

std::optional<Refusal> Agent::attach(const DiscSpec& said) {
  const std::shared_lock change(changes_lock_);
  if (ownership_ != Ownership::owner) return upgrading();
  DiscSpec spec = said;
  const std::span<const DiscSpec> one(&spec, 1);
  bool fresh = false;
  std::uint64_t batch = 0;
  const auto unfit = unfit_of(one);  // Asks the kernel: not under the lock.
  {
    std::unique_lock lock(lock_);
    // The same may be being stored for somebody else, and that may fail.
    begun_.wait(lock, [&] { return !is_pending(spec.name); });
    if (auto refusal = check(spec, fresh)) return refusal;
    if (auto refusal = objection_to(one)) return refusal;
    if (fresh && !unfit.empty()) return Refusal{Refusal::Why::unfit, unfit.front().sentence};
    if (const auto failed = discs_.find(spec.name); failed != discs_.end())
      spec = with_newest(*failed->second.spec, std::move(spec));
    if (fresh) batch = add(one, 0);
  }
  if (!fresh) {
    const std::lock_guard lock(lock_);
    const auto at = discs_.find(spec.name);
    // It may have come back, have grown, or be as it was again.
    if (at != discs_.end()) look(spec.name, at->second);
    return std::nullopt;
  }
  if (auto refusal = store(one, batch)) return refusal;
  begin(one, batch);
  return std::nullopt;
}

Result<ImportStatus, Refusal> Agent::import(std::vector<DiscSpec> specs, const ImportRequest& how) {
  const std::shared_lock change(changes_lock_);
  if (ownership_ != Ownership::owner) return Failure{upgrading()};
  std::vector<DiscSpec> added;
  std::shared_ptr<ImportStatus> import;
  std::uint64_t batch = 0;
  const auto unfit = unfit_of(specs);
  {
    std::unique_lock lock(lock_);
    begun_.wait(lock, [&] {
      return std::none_of(specs.begin(), specs.end(),
                          [&](const DiscSpec& spec) { return is_pending(spec.name); });
    });
    if (how.part_of != 0) import = find_import(how.part_of);
    if (how.part_of != 0 && !import)
      return Failure{
          Refusal{Refusal::Why::no_such_import,
                  fmt::format("there is no import {} for this to be a part of, or it was "
                              "long ago; import the whole list again",
                              how.part_of)}};
    if (auto refusal = check(specs, added)) return Failure{std::move(*refusal)};
    std::unordered_set<std::string_view> names;
    if (!unfit.empty())
      for (const DiscSpec& spec : added) names.insert(spec.name);
    for (const auto& [index, sentence] : unfit)
      if (names.contains(specs[index].name))
        return Failure{Refusal{Refusal::Why::unfit, sentence, index}};
    if (how.check_only)
      return ImportStatus{.total = specs.size(), .unchanged = specs.size() - added.size()};
    batch = add(added, how.part_of);
  }
  if (auto refusal = store(added, batch)) return Failure{std::move(*refusal)};
  begin(added, batch);
  const std::lock_guard lock(lock_);
  if (!import) import = std::make_shared<ImportStatus>(ImportStatus{.id = batch});
  import->total += specs.size();
  import->unchanged += specs.size() - added.size();
  keep(import);
  return count(*import);
}

std::optional<Refusal> Agent::detach(const std::string& name) {
  const std::shared_lock change(changes_lock_);
  if (ownership_ != Ownership::owner) return upgrading();
  std::uint64_t batch = 0;
  {
    std::unique_lock lock(lock_);
    begun_.wait(lock, [&] { return !is_pending(name); });
    const auto at = discs_.find(name);
    if (at == discs_.end()) return no_such_disc(name);
    if (at->second.going) return std::nullopt;
    at->second.going = true;
    batch = at->second.batch;
  }
  std::optional<Refusal> refusal;
  try {
    store_.remove(std::span(&name, 1));
  } catch (const std::exception& error) {
    refusal = Refusal{Refusal::Why::not_stored, error.what()};
  }
  const std::lock_guard lock(lock_);
  const auto at = discs_.find(name);
  if (at == discs_.end() || at->second.batch != batch) return refusal;
  if (refusal)
    at->second.going = false;
  else
    leave(name, at->second);
  return refusal;
}

bool Agent::is_pending(const std::string& name) const {
  const auto at = discs_.find(name);
  return at != discs_.end() && (at->second.stage == Stage::pending || at->second.changing);
}

std::vector<neigh::Keeper::Refused> Agent::unfit_of(std::span<const DiscSpec> specs) const try {
  std::vector<neigh::Want> wants;
  wants.reserve(specs.size());
  for (const DiscSpec& spec : specs)
    wants.push_back(want_of(spec, nullptr, neigh::Source::operator_));
  return neighbours_->refuse(wants);
} catch (const std::system_error&) {
  return {};  // The keeper looks again, and says what is the matter.
}

std::optional<Refusal> Agent::check(const DiscSpec& spec, bool& fresh) const {
  const auto at = discs_.find(spec.name);
  fresh = at == discs_.end();
  if (fresh && discs_.size() >= discs_max_)
    return Refusal{Refusal::Why::too_many,
                   fmt::format("there are {} discs, all that data.discs_max allows; raise it, or "
                               "detach some",
                               discs_max_.load())};
  if (fresh) return std::nullopt;
  if (at->second.going)
    return Refusal{Refusal::Why::detaching,
                   fmt::format("disc {} is being detached; attach it again once `headctl discs` "
                               "lists it no longer",
                               spec.name)};
  if (*at->second.spec != with_newest(*at->second.spec, spec))
    return Refusal{
        Refusal::Why::exists,
        fmt::format("disc {} is attached with other settings; detach it first, or move it with "
                    "`headctl move` if only its tail is another one",
                    spec.name)};
  fresh = at->second.stage == Stage::failed;
  return std::nullopt;
}

std::optional<Refusal> Agent::check(const std::vector<DiscSpec>& specs,
                                    std::vector<DiscSpec>& added) const {
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const DiscSpec& spec = specs[i];
    if (!names.insert(spec.name).second)
      return Refusal{Refusal::Why::duplicate,
                     fmt::format("disc {} is in the list twice; leave one out", spec.name), i};
    bool fresh = false;
    if (auto refusal = check(spec, fresh)) {
      if (refusal->why != Refusal::Why::too_many) refusal->index = i;
      return refusal;
    }
    const auto failed = discs_.find(spec.name);
    if (fresh)
      added.push_back(failed == discs_.end() ? spec : with_newest(*failed->second.spec, spec));
  }
  if (discs_.size() + added.size() > discs_max_)
    return Refusal{
        Refusal::Why::too_many,
        fmt::format("with these {} discs there would be more than the {} that data.discs_max "
                    "allows; raise it, or detach some",
                    added.size(), discs_max_.load())};
  return objection_to(added);
}

std::uint64_t Agent::add(std::span<const DiscSpec> specs, std::uint64_t import) {
  const std::uint64_t batch = ++last_batch_;
  Discs fresh;
  for (const DiscSpec& spec : specs) {
    Disc& disc = fresh[spec.name];
    disc.spec = std::make_shared<const DiscSpec>(spec);
    disc.stats = std::make_shared<stats::DiscStats>(&bell_);
    if (const auto proven = store_.proven(spec)) disc.stats->prove(netlink::number_of(*proven));
    disc.batch = batch;
    disc.import = import != 0 ? import : batch;
    disc.stored = discs_.count(spec.name) != 0;
  }
  discs_.reserve(discs_.size() + fresh.size());
  // Nothing below can fail.
  while (!fresh.empty()) {
    discs_.erase(fresh.begin()->first);
    discs_.insert(fresh.extract(fresh.begin()));
  }
  return batch;
}

void Agent::give_up(std::span<const DiscSpec> specs, std::uint64_t batch, std::string_view why) {
  for (const DiscSpec& spec : specs) {
    const auto at = discs_.find(spec.name);
    if (at == discs_.end() || at->second.batch != batch) continue;
    if (!at->second.stored) {
      discs_.erase(at);
      continue;
    }
    at->second.stage = Stage::failed;
    at->second.import = batch;
    at->second.problem = why;
  }
}

std::shared_ptr<ImportStatus> Agent::find_import(std::uint64_t id) const {
  const auto at = std::find_if(imports_.begin(), imports_.end(),
                               [&](const auto& import) { return import->id == id; });
  return at != imports_.end() ? *at : nullptr;
}

void Agent::keep(const std::shared_ptr<ImportStatus>& import) {
  std::erase(imports_, import);
  if (imports_.size() == imports_kept) imports_.pop_front();
  imports_.push_back(import);
}

std::optional<Refusal> Agent::store(std::span<const DiscSpec> specs, std::uint64_t batch) {
  try {
    store_.put(specs);
    return std::nullopt;
  } catch (const std::exception& error) {
    {
      const std::lock_guard lock(lock_);
      give_up(specs, batch, error.what());
    }
    begun_.notify_all();
    bell_.ring();
    return Refusal{Refusal::Why::not_stored, error.what()};
  }
}

void Agent::begin(std::span<const DiscSpec> specs, std::uint64_t batch, neigh::Source source) {
  try {
    want(specs, batch, source);
  } catch (const std::exception& error) {
    // They are durable, so they stay; attached again, they are tried again.
    const std::lock_guard lock(lock_);
    for (const DiscSpec& spec : specs) {
      const auto at = discs_.find(spec.name);
      if (at == discs_.end() || at->second.batch != batch) continue;
      if (at->second.stage == Stage::pending || at->second.stage == Stage::resolving)
        fail(at->second, error.what());
    }
    bell_.ring();
  }
  begun_.notify_all();
}

void Agent::want(std::span<const DiscSpec> specs, std::uint64_t batch, neigh::Source source) {
  std::vector<neigh::Want> wants;
  wants.reserve(specs.size());
  {
    const std::lock_guard lock(lock_);
    for (const DiscSpec& spec : specs) {
      Disc& disc = discs_.at(spec.name);
      wants.push_back(want_of(spec, disc.stats, source));
      disc.stage = Stage::resolving;
    }
  }
  begun_.notify_all();
  if (wants.empty()) return;
  neighbours_->want(std::move(wants),
                    [this, batch](const std::string& name, const neigh::BindingStatus& status) {
                      post(neighbour_event(name, batch, status));
                    });
}

}  // namespace head::control
