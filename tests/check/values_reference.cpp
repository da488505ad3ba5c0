#include "tests/check/values_reference.hpp"

#include <utility>

namespace check {

Reference::Reference(Promise promise) : promise_(promise) {
  add({});
}

std::size_t Reference::Hash::operator()(const World& world) const {
  std::size_t hash = 0;
  for (const unsigned part :
       {world.now, world.disk, world.log, world.last, unsigned{world.forgot},
        unsigned{world.replaying}, world.applied, world.persisted, world.told, world.flushed,
        world.covering, world.read[0], world.read[1], world.read[2]})
    hash = (hash + part) * 0x9e3779b97f4a7c15;
  return hash ^ hash >> 32;
}

Change Reference::ask_change(Kind kind, bool fua) {
  requests_.push_back({.kind = kind, .fua = fua, .asked = ++now_});
  each([](World&) { return true; });
  return static_cast<Change>(requests_.size() - 1);
}

void Reference::answer_change(Change change, bool success) {
  Request& request = requests_[change];
  request.over = true;
  request.ended = ++now_;
  const bool certain = success && request.kind != Kind::trim;
  if (certain) {
    request.barred = true;
    for (Request& other : requests_)
      if (other.over && other.ended < request.asked) other.barred = true;
  }
  const unsigned bit = 1u << change;
  each([&](World& world) {
    if (!success) return true;
    if (promise_ == Promise::replay ? (world.told & bit) == 0 : (world.applied & bit) == 0)
      return false;
    return !must_persist(request) || (world.persisted & bit) != 0;
  });
}

unsigned Reference::ask_flush(Plan plan) {
  flushes_.push_back({.plan = plan});
  each([](World&) { return true; });
  return static_cast<unsigned>(flushes_.size() - 1);
}

void Reference::answer_flush(unsigned flush, bool success) {
  const bool now = !success && flushes_[flush].plan == Plan::succeed;
  flushes_[flush].over = true;
  const unsigned bit = 1u << flush;
  each([&](World& world) {
    if (now) {
      if (world.replaying || (world.flushed & bit) != 0) return false;
      fail(world);
    } else if ((world.flushed & bit) == 0) {
      return false;
    }
    world.flushed &= ~bit;
    if (success && (world.covering & bit) != 0) world.log = nothing;
    world.covering &= world.log == nothing ? 0 : ~bit;
    return true;
  });
}

unsigned Reference::ask_read() {
  reads_.push_back(true);
  each([](World&) { return true; });
  return static_cast<unsigned>(reads_.size() - 1);
}

bool Reference::may_read(unsigned read, Change value) const {
  for (const World& world : worlds_)
    if (world.read[read] == value) return true;
  return false;
}

void Reference::answer_read(unsigned read, Change value) {
  reads_[read] = false;
  each([&](World& world) {
    if (world.read[read] != value) return false;
    world.read[read] = nothing;
    return true;
  });
}

void Reference::tail_crashed() {
  each([&](World& world) {
    world.now = world.disk;
    world.forgot = false;
    world.last = nothing;
    if (promise_ == Promise::replay) {
      world.replaying = world.log != nothing;
      world.applied = world.persisted = 0;
      return true;
    }
    undo_unstable(world);  // The answers of others may be under way.
    return true;
  });
}

void Reference::log_lost() {
  each([](World& world) {
    world.log = nothing;
    world.covering = 0;
    world.replaying = false;
    world.last = nothing;
    world.applied = world.persisted = 0;  // What was not answered is asked again.
    return true;
  });
}

void Reference::loss_heard() {
  each([](World& world) {
    world.last = nothing;
    world.applied = world.persisted = 0;
    return true;
  });
}

// What is to be acknowledged as stable has to be carried out again where it was not.
void Reference::undo_unstable(World& world) const {
  for (unsigned i = 1; i < requests_.size(); ++i)
    if (must_persist(requests_[i])) world.applied &= world.persisted | ~(1u << i);
}

bool Reference::must_persist(const Request& request) const {
  return request.fua || promise_ == Promise::writethrough;
}

// A FLUSH does. A head that keeps a log writes again what is in it, and then what it was asked
// since.
void Reference::fail(World& world) {
  world.forgot = world.log == nothing && world.now != world.disk;
  if (world.log == nothing || world.log == world.now) return;
  world.now = world.log == trimmed ? 0 : world.log;
  world.applied = world.persisted = 0;
}

template <class Edit>
void Reference::each(Edit edit) {
  const auto before = std::exchange(worlds_, {});
  for (World world : before)
    if (edit(world)) add(world);
  close();
}

void Reference::add(const World& world) {
  World settled = world;
  settle(settled);
  if (worlds_.insert(settled).second) fresh_.push_back(settled);
}

// Forgets what makes no difference any more.
void Reference::settle(World& world) const {
  unsigned open = 0;
  for (unsigned i = 1; i < requests_.size(); ++i)
    if (!requests_[i].over || !requests_[i].barred) open |= 1u << i;
  world.applied &= open;
  world.persisted &= open;
  world.told &= open;
  if (promise_ != Promise::replay) world.last = nothing;
}

void Reference::close() {
  while (!fresh_.empty()) {
    const World world = fresh_.back();
    fresh_.pop_back();
    step(world);
  }
}

void Reference::step(const World& world) {
  World next = world;
  if (world.replaying) {
    next.replaying = false;
    next.now = world.log == trimmed ? 0 : world.log;
    add(next);
    next.now = world.now;  // A TRIM that did nothing.
    if (world.log == trimmed) add(next);
    return;
  }
  for (unsigned i = 1; i < requests_.size(); ++i) step_change(world, i);
  for (unsigned i = 0; i < flushes_.size(); ++i) step_flush(world, i);
  for (unsigned i = 0; i < reads_.size(); ++i) {
    if (!reads_[i] || world.read[i] != nothing) continue;
    next = world;
    next.read[i] = world.now;
    add(next);
  }
  next = world;
  if (world.forgot) {  // The cache drops it.
    next.forgot = false;
    next.now = world.disk;
    undo_unstable(next);
  } else {
    next.disk = world.now;
  }
  add(next);
}

void Reference::step_change(const World& world, unsigned number) {
  const Request& request = requests_[number];
  if (request.barred) return;
  const unsigned bit = 1u << number;
  World next = world;
  // What it undoes of later ones must be done again before they are acknowledged.
  unsigned later = 0;
  for (unsigned i = 1; i < requests_.size(); ++i)
    if (request.over && requests_[i].asked > request.ended) later |= 1u << i;
  // Nor is anything carried out again whose answer the head that keeps a log has.
  if ((world.told & (later | bit)) != 0) return;
  next.applied = (world.applied & ~later) | bit;
  next.persisted &= ~(later | bit);
  next.last = number;
  if (request.kind == Kind::trim) add(next);  // It may do nothing.
  next.forgot = false;
  next.now = content(request, number);
  add(next);
  if ((world.applied & bit) == 0) return;
  next = world;
  if (must_persist(request)) {
    next.persisted |= bit;
    next.disk = world.now;
    next.forgot = false;
    add(next);
    if ((world.persisted & bit) == 0) return;
    next = world;
  }
  // The head knows it, and keeps it. It asks nothing that overlaps it until then.
  if (promise_ != Promise::replay || world.last != number) return;
  next.told |= bit;
  const bool trim = request.kind == Kind::trim;
  if (!request.fua || world.log != nothing) {
    next.log = trim ? trimmed : content(request, number);
    next.covering = 0;
  }
  if (!trim) {
    next.forgot = false;
    next.now = content(request, number);
  }
  add(next);
}

void Reference::step_flush(const World& world, unsigned number) {
  const unsigned bit = 1u << number;
  if (flushes_[number].over || (world.flushed & bit) != 0) return;
  World next = world;
  next.flushed |= bit;
  if (flushes_[number].plan == Plan::fail) {
    fail(next);
    add(next);
    return;
  }
  if (!world.forgot) next.disk = world.now;
  if (world.log != nothing) next.covering |= bit;
  add(next);
}

}  // namespace check
