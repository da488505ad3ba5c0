#include "head/export/payload_pool.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace head::exports {
namespace {

// So many are asked at a time; then others have the thread for a round.
constexpr std::size_t asked_at_a_time = 32;

}  // namespace

PayloadPool::PayloadPool(iouring::Io& io, std::size_t bytes, std::size_t lessees_max)
    : io_(io), arena_(std::max(bytes, smallest)), lessees_max_(lessees_max) {}

PayloadPool::~PayloadPool() {
  assert(whole() && lessees_.empty());
  io_.disarm(go_on_);
  io_.disarm(turn_);
}

std::size_t PayloadPool::cost(std::uint32_t payload) noexcept {
  return (payload + block_size - 1) / block_size * block_size + PayloadArena::cell_size;
}

std::size_t PayloadPool::owed_to(const Lessee& who) const noexcept {
  return guarantee_ - std::min(guarantee_, who.held_);
}

bool PayloadPool::Account::waits_for_tail() const noexcept {
  if (stats_ == nullptr) return false;
  using State = stats::DiscState;
  const State state = stats_->state.load(std::memory_order_relaxed);
  return state == State::reconnecting || state == State::held;
}

Grant PayloadPool::judge(const Lessee& who, std::uint32_t payload) const noexcept {
  if (!arena_.fits(payload)) return Grant::no;
  const Claim claim{
      .held = who.held_,
      .together = who.account_.held_,
      .wanted = cost(payload),
      .guaranteed = guarantee_,
      .free = arena_.free(),
      // With very many sessions not all of them are owed something.
      .owed = std::min(owed_ - owed_to(who), size() / 8),
      .may_exceed = exceeding_ == nullptr,
  };
  const bool modest = claim.held + claim.wanted <= guarantee_;
  if (preferred_ != nullptr && preferred_ != &who && !modest) return Grant::no;
  if (!modest && who.account_.waits_for_tail()) return Grant::no;
  return exports::judge(claim);
}

PayloadPool::Lease PayloadPool::grant(Lessee& who, std::uint32_t payload, Grant how) noexcept {
  owed_ -= owed_to(who);
  who.held_ += cost(payload);
  who.account_.held_ += cost(payload);
  owed_ += owed_to(who);
  const Lease lease = arena_.lease(payload);
  if (how == Grant::excess) exceeding_ = lease.cell;
  return lease;
}

// When a session has come or gone.
void PayloadPool::divide() noexcept {
  const std::size_t each = guarantee(size(), lessees_.size(), block_size) + PayloadArena::cell_size;
  if (each == guarantee_) return;
  guarantee_ = each;
  owed_ = 0;
  for (const Lessee* lessee : lessees_) owed_ += owed_to(*lessee);
}

// ---- Who waits ----------------------------------------------------------------------------------

// There is more memory than before.
void PayloadPool::ask_all() noexcept {
  unasked_ = waiting_;
  ask_some();
}

void PayloadPool::ask_soon() noexcept {
  unasked_ = waiting_;
  if (unasked_ > 0) io_.arm(go_on_, io_.now());
}

// Whoever is served may give memory back at once, and then all are asked again, by this loop.
void PayloadPool::ask_some() noexcept {
  if (asking_) return;
  asking_ = true;
  for (std::size_t asked = 0; unasked_ > 0 && asked < asked_at_a_time; ++asked) {
    --unasked_;
    Lessee& who = *first_;
    remove(who);
    const Grant how = judge(who, who.payload_);
    if (how == Grant::no) {
      insert(who, nullptr);
      continue;
    }
    if (preferred_ == &who) {
      preferred_ = nullptr;
      preferred_time_ = preferred_time_min;
      unasked_ = waiting_;
    }
    who.on_memory(grant(who, who.payload_, how));
  }
  asking_ = false;
  if (unasked_ > 0) io_.arm(go_on_, io_.now());
}

void PayloadPool::on_turn() noexcept {
  if (waiting_ == 0) {
    preferred_time_ = preferred_time_min;
    return;
  }
  if (preferred_ != nullptr) {
    Lessee& who = *std::exchange(preferred_, nullptr);
    remove(who);
    insert(who, nullptr);  // The others first, the next time.
    who.in_vain_ = who.in_vain_ || preferred_time_ == preferred_time_max;
    preferred_time_ = std::min<iouring::Duration>(2 * preferred_time_, preferred_time_max);
  } else {
    preferred_ = whom_to_prefer();
  }
  next_turn();
  ask_all();
}

void PayloadPool::next_turn() noexcept {
  io_.arm(turn_, io_.now() + (preferred_ != nullptr ? 1 : 9) * preferred_time_);
}

// One that holds nothing: what others hold comes back to them, then they are among those.
PayloadPool::Lessee* PayloadPool::whom_to_prefer() noexcept {
  Lessee* in_vain = nullptr;
  for (Lessee* at = first_; at != nullptr; at = at->next_) {
    if (at->held_ != 0 || at->account_.waits_for_tail()) continue;
    if (!at->in_vain_) return at;
    if (in_vain == nullptr) in_vain = at;
  }
  if (in_vain == nullptr || io_.now() < in_vain_until_) return nullptr;
  in_vain_until_ = io_.now() + in_vain_pause;
  return in_vain;
}

// Before `next`; at the end, where that is null.
void PayloadPool::insert(Lessee& who, Lessee* next) noexcept {
  who.waits_ = true;
  who.next_ = next;
  who.previous_ = std::exchange(next == nullptr ? last_ : next->previous_, &who);
  (who.previous_ == nullptr ? first_ : who.previous_->next_) = &who;
  ++waiting_;
}

void PayloadPool::remove(Lessee& who) noexcept {
  (who.previous_ == nullptr ? first_ : who.previous_->next_) = who.next_;
  (who.next_ == nullptr ? last_ : who.next_->previous_) = who.previous_;
  who.waits_ = false;
  --waiting_;
}

// ---- A session ----------------------------------------------------------------------------------

PayloadPool::Lessee::Lessee(Account& account) : account_(account) {
  PayloadPool& pool = account_.pool_;
  place_ = pool.lessees_.size();
  pool.lessees_.push_back(this);
  far_ = pool.far_readers_ < far_readers_max;
  if (far_) ++pool.far_readers_;
  pool.owed_ += pool.guarantee_;
  pool.divide();
}

PayloadPool::Lessee::~Lessee() {
  assert(held_ == 0 && !waits_);
  PayloadPool& pool = account_.pool_;
  give_back_option();
  if (far_) --pool.far_readers_;
  pool.lessees_[place_] = pool.lessees_.back();
  pool.lessees_[place_]->place_ = place_;
  pool.lessees_.pop_back();
  pool.owed_ -= pool.guarantee_;
  pool.divide();
  pool.ask_all();
}

bool PayloadPool::Lessee::take_option(std::size_t bytes) noexcept {
  std::size_t& all = account_.pool_.options_;
  // Its memory is kept from one option to the next.
  const std::size_t more = bytes - std::min(bytes, option_);
  if (all + more > options_max) return false;
  all += more;
  option_ += more;
  return true;
}

void PayloadPool::Lessee::give_back_option() noexcept {
  account_.pool_.options_ -= std::exchange(option_, 0);
}

bool PayloadPool::Lessee::take(std::uint32_t payload, Lease& lease) noexcept {
  assert(payload <= payload_max && !waits_);
  const Grant how = account_.pool_.judge(*this, payload);
  if (how == Grant::no) return false;
  lease = account_.pool_.grant(*this, payload, how);
  return true;
}

void PayloadPool::Lessee::wait(std::uint32_t payload) noexcept {
  PayloadPool& pool = account_.pool_;
  payload_ = payload;
  in_vain_ = false;
  pool.insert(*this, nullptr);
  if (!pool.turn_.armed()) pool.next_turn();
}

void PayloadPool::Lessee::give_up() noexcept {
  if (!waits_) return;
  PayloadPool& pool = account_.pool_;
  pool.remove(*this);
  if (pool.preferred_ == this) {
    pool.preferred_ = nullptr;
    pool.next_turn();
  }
  pool.ask_all();
}

void PayloadPool::Lessee::give_back(const Lease& lease) noexcept {
  PayloadPool& pool = account_.pool_;
  assert(held_ >= cost(lease.payload));
  pool.owed_ -= pool.owed_to(*this);
  held_ -= cost(lease.payload);
  account_.held_ -= cost(lease.payload);
  pool.owed_ += pool.owed_to(*this);
  if (pool.exceeding_ == lease.cell) pool.exceeding_ = nullptr;
  pool.arena_.give_back(lease);
  if (waits_) {  // Its own memory: it is asked first.
    pool.remove(*this);
    pool.insert(*this, pool.first_);
  }
  pool.ask_all();
}

}  // namespace head::exports
