// What one sector may hold, by brute force: all the ways in which a tail with a volatile cache and
// a head that keeps a log may have carried out a small history, each followed step by step. It
// shares nothing with Values, and is far too slow for anything but short histories of one sector.
#pragma once

#include "tests/check/values.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <vector>

namespace check {

class Reference {
 public:
  static constexpr unsigned changes_max = 5, flushes_max = 3, reads_max = 3;
  enum class Plan : std::uint8_t { succeed, fail };

  explicit Reference(Promise promise);

  Change ask_change(Kind kind, bool fua);
  void answer_change(Change change, bool success);
  void abandon(Change change) { answer_change(change, false); }
  unsigned ask_flush(Plan plan);
  // One that is to fail does so at some time before; the one that is planned to succeed may be
  // told to fail here and now instead.
  void answer_flush(unsigned flush, bool success);
  unsigned ask_read();
  bool may_read(unsigned read, Change value) const;
  void answer_read(unsigned read, Change value);
  void tail_crashed();
  void log_lost();
  // What was with the tail when a FLUSH failed is asked again.
  void loss_heard();

 private:
  static constexpr unsigned nothing = 15, trimmed = 14;
  // One of the ways. Bits of changes and flushes by their numbers.
  struct World {
    unsigned now = 0;   // What the tail's cache holds,
    unsigned disk = 0;  // and its stable storage;
    unsigned log = nothing;
    unsigned last = nothing;  // The change that was carried out last.
    bool forgot = false;      // What the cache holds is taken for clean, and is not.
    bool replaying = false;   // The log is, before anything else.
    unsigned applied = 0, persisted = 0, told = 0;  // Changes.
    unsigned flushed = 0;                           // Flushes;
    unsigned covering = 0;  // those whose success lets go of what is in the log.
    std::array<unsigned, reads_max> read{nothing, nothing, nothing};  // What each returned.

    bool operator==(const World&) const = default;
  };
  struct Hash {
    std::size_t operator()(const World& world) const;
  };
  struct Request {
    Kind kind = Kind::write;
    bool fua = false;
    bool over = false;    // It was answered, or abandoned.
    bool barred = false;  // It must not be carried out any more.
    std::uint64_t asked = 0, ended = 0;
  };
  struct Flush {
    Plan plan = Plan::succeed;
    bool over = false;
  };

  void step(const World& world);
  void step_change(const World& world, unsigned number);
  void step_flush(const World& world, unsigned number);
  void settle(World& world) const;
  void add(const World& world);
  void close();
  template <class Edit>
  void each(Edit edit);
  static void fail(World& world);
  void undo_unstable(World& world) const;
  bool must_persist(const Request& request) const;
  static unsigned content(const Request& request, unsigned number) {
    return request.kind == Kind::write ? number : 0;
  }

  const Promise promise_;
  std::uint64_t now_ = 0;
  std::vector<Request> requests_{1};  // By Change.
  std::vector<Flush> flushes_;
  std::vector<bool> reads_;  // Under way.
  std::unordered_set<World, Hash> worlds_;
  std::vector<World> fresh_;  // Whose steps have not been taken yet.
};

}  // namespace check
