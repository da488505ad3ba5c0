// The production session in a simulated world: whatever the network does and however the guest
// behaves, every request is answered exactly once and rightly, or the session ends cleanly.
#include "head/export/session.hpp"
#include "tests/memory_volume.hpp"
#include "tests/seeds.hpp"
#include "tests/sim/sim_io.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <memory>

using namespace head;
using namespace head::exports;
using nbd::Command;
using sim::Bytes;
using tests::seeds;

namespace {

template <class T>
void put(Bytes& to, const T& value) {
  const auto bytes = nbd::wire::bytes_of(value);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

struct Manners {
  bool structured = true;
  unsigned requests = 60;
  unsigned window = 100;   // More than a session takes at a time.
  double nonsense = 0.05;  // A request that is refused.
  double leave = 0.0;      // Hangs up.
  double garbage = 0.0;    // Sends what is no request.
};

// What is left of a guest when its socket is gone.
struct Seen {
  unsigned sent = 0;
  unsigned answered = 0;
  bool finished = false;
  std::vector<std::string> complaints;
};

// A guest: negotiates, asks at random, knows what the disc holds, and checks every answer.
class Guest final : public sim::Peer {
 public:
  Guest(std::uint64_t seed, Manners with, std::size_t size, Seen& seen)
      : manners(with), random_(seed), model_(size), seen_(seen) {}

  bool on_bytes(Bytes& from_us, Bytes& to_us) override {
    while (take(from_us, to_us)) {
    }
    if (phase_ != Phase::transmission || seen_.finished) return !chance(manners.leave);
    while (left() > 0 && asked_.size() < manners.window && (asked_.empty() || chance(0.8)))
      ask(to_us);
    if (left() == 0 && asked_.empty()) {
      nbd::wire::Request goodbye;
      goodbye.type = static_cast<std::uint16_t>(Command::disconnect);
      put(to_us, goodbye);
      seen_.finished = true;
    }
    if (chance(manners.garbage)) {
      to_us.insert(to_us.end(), 28, std::byte{0x5a});
      seen_.finished = true;
    }
    return !chance(manners.leave);
  }

  Manners manners;

 private:
  enum class Phase { hello, structured, meta, go, transmission };
  struct Asked {
    nbd::RequestHeader header;
    std::uint32_t refused = 0;
    Bytes data;  // Of a write.
  };

  unsigned left() const { return manners.requests - seen_.sent; }
  bool chance(double p) { return p > 0 && std::bernoulli_distribution(p)(random_); }
  std::uint64_t below(std::uint64_t n) {
    return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random_);
  }
  void complain(std::string what) { seen_.complaints.push_back(std::move(what)); }

  static Bytes cut(Bytes& from, std::size_t size) {
    Bytes front(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(size));
    from.erase(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(size));
    return front;
  }

  void option(Bytes& to_us, nbd::wire::Option number, const Bytes& data = {}) {
    nbd::wire::OptionRequest request;
    request.option = static_cast<std::uint32_t>(number);
    request.length = static_cast<std::uint32_t>(data.size());
    put(to_us, request);
    to_us.insert(to_us.end(), data.begin(), data.end());
  }
  void go(Bytes& to_us) {
    Bytes data;
    put(data, be32(0u));
    put(data, be16(std::uint16_t{0}));
    option(to_us, nbd::wire::Option::go, data);
    phase_ = Phase::go;
  }

  // True when it consumed something.
  bool take(Bytes& in, Bytes& out) {
    switch (phase_) {
      case Phase::hello:
        if (in.size() < 18) return false;
        cut(in, 18);
        put(out, be32(3u));
        if (!manners.structured) return go(out), true;
        option(out, nbd::wire::Option::structured_reply);
        phase_ = Phase::structured;
        return true;
      case Phase::structured: {
        if (in.size() < 20) return false;
        cut(in, 20);
        Bytes data;
        put(data, be32(0u));
        put(data, be32(1u));
        put(data, be32(15u));
        for (const char c : std::string_view("base:allocation"))
          data.push_back(static_cast<std::byte>(c));
        option(out, nbd::wire::Option::set_meta_context, data);
        phase_ = Phase::meta;
        return true;
      }
      case Phase::meta:
        if (in.size() < 20 + 19 + 20) return false;
        cut(in, 20 + 19 + 20);
        return go(out), true;
      case Phase::go:
        if (in.size() < 20 + 12 + 20) return false;
        cut(in, 20 + 12 + 20);
        phase_ = Phase::transmission;
        return true;
      case Phase::transmission:
        return take_reply(in);
    }
    return false;
  }

  void ask(Bytes& to_us) {
    Asked asked;
    auto& header = asked.header;
    const Command commands[] = {Command::read,  Command::read,  Command::write,
                                Command::write, Command::trim,  Command::write_zeroes,
                                Command::flush, Command::cache, Command::block_status};
    const Command command = commands[below(manners.structured ? 9 : 8)];
    header.type = static_cast<std::uint16_t>(command);
    header.cookie = random_();
    // Requests in flight do not overlap: then it is certain what a read must give.
    bool free = false;
    for (int tries = 0; tries < 20 && !free; ++tries) {
      header.length = static_cast<std::uint32_t>(1 + below(chance(0.2) ? model_.size() / 2 : 6000));
      header.offset = below(model_.size() - header.length + 1);
      free = is_free(header.offset, header.length);
    }
    if (!free) header.type = static_cast<std::uint16_t>(Command::flush);
    if (header.type == static_cast<std::uint16_t>(Command::flush))
      header.offset = header.length = 0;
    if (chance(manners.nonsense)) {
      header.type = static_cast<std::uint16_t>(chance(0.5) ? Command::write : Command::read);
      header.offset = model_.size() - 1;
      header.length = static_cast<std::uint32_t>(2 + below(9000));
      asked.refused = header.type == 1 ? 28 : 22;
    }
    nbd::wire::Request request;
    request.type = header.type;
    request.cookie = header.cookie;
    request.offset = header.offset;
    request.length = header.length;
    put(to_us, request);
    if (header.type == static_cast<std::uint16_t>(Command::write)) {
      for (std::uint32_t i = 0; i < header.length; ++i)
        asked.data.push_back(static_cast<std::byte>(random_()));
      to_us.insert(to_us.end(), asked.data.begin(), asked.data.end());
    }
    ++seen_.sent;
    asked_[header.cookie] = std::move(asked);
  }

  bool is_free(std::uint64_t offset, std::uint64_t length) const {
    for (const auto& [cookie, asked] : asked_)
      if (asked.refused == 0 && offset < asked.header.offset + asked.header.length &&
          asked.header.offset < offset + length)
        return false;
    return true;
  }

  bool take_reply(Bytes& in) {
    if (in.size() < nbd::reply_start_size) return false;
    auto header = nbd::decode_reply_start(std::span(in).first<nbd::reply_start_size>());
    if (!header) return complain("a reply without its magic number"), false;
    std::size_t size = nbd::reply_start_size, payload = 0;
    if (header->structured) {
      if (in.size() < 20) return false;
      header = nbd::decode_reply_header(std::span(in).first(20));
      if (!header) return complain("a malformed chunk"), false;
      size = 20;
      payload = header->length;
    }
    const auto found = asked_.find(header->cookie);
    if (found == asked_.end()) return complain("a reply to nothing that was asked"), false;
    const Asked& asked = found->second;
    const bool reads = asked.header.type == static_cast<std::uint16_t>(Command::read);
    if (!header->structured && header->error == 0 && reads) payload = asked.header.length;
    if (in.size() < size + payload) return false;
    cut(in, size);
    const Bytes body = cut(in, payload);
    if (reads && header->structured != manners.structured) complain("the wrong kind of reply");
    check(asked, *header, body);
    ++seen_.answered;
    asked_.erase(found);
    return true;
  }

  void check(const Asked& asked, const nbd::ReplyHeader& header, const Bytes& body) {
    std::uint32_t error = header.error;
    if (header.structured && !header.done()) complain("more than one chunk");
    if (header.structured && is_error(header.chunk())) {
      const auto chunk = nbd::decode_error_chunk(header, body);
      if (!chunk) return complain("a malformed error chunk");
      error = chunk->error;
    }
    if (asked.refused != 0 && error != asked.refused) complain("nonsense was not refused");
    if (error != 0) {
      if (asked.refused == 0 && error != 5) complain("an error from nowhere");
      return;
    }
    const auto place = model_.begin() + static_cast<std::ptrdiff_t>(asked.header.offset);
    switch (static_cast<Command>(asked.header.type)) {
      case Command::read: {
        const std::size_t skip = header.structured ? 8 : 0;
        if (!std::equal(body.begin() + static_cast<std::ptrdiff_t>(skip), body.end(), place,
                        place + asked.header.length))
          complain("wrong data");
        break;
      }
      case Command::write:
        std::copy(asked.data.begin(), asked.data.end(), place);
        break;
      case Command::trim:
      case Command::write_zeroes:
        std::fill_n(place, asked.header.length, std::byte{0});
        break;
      case Command::block_status:
        check_status(asked, body);
        break;
      default:
        break;
    }
  }

  void check_status(const Asked& asked, const Bytes& body) {
    if (body.size() < 12 || nbd::wire::load<be32>(body) != base_allocation_id)
      return complain("a status of another context");
    std::uint64_t at = asked.header.offset;
    for (std::size_t i = 4; i < body.size(); i += 8) {
      const auto extent = nbd::decode_extent(std::span(body).subspan(i).first<8>());
      if (!extent) return complain("an extent of no bytes");
      const auto from = model_.begin() + static_cast<std::ptrdiff_t>(at);
      if (extent->flags == 3 && !std::all_of(from, from + extent->length,
                                             [](std::byte byte) { return byte == std::byte{0}; }))
        complain("a hole with data in it");
      at += extent->length;
    }
    if (at > asked.header.offset + asked.header.length) complain("more status than asked");
  }

  std::mt19937_64 random_;
  Phase phase_ = Phase::hello;
  Bytes model_;
  std::map<std::uint64_t, Asked> asked_;
  Seen& seen_;
};

struct Ending final : Session::Owner {
  unsigned gone = 0;
  unsigned times = 0;
  void on_guest_gone(Session&) noexcept override { ++gone; }
  void on_session_over(Session&) noexcept override { ++times; }
};

// Other sessions, which have all the memory there is.
class Hogs {
 public:
  explicit Hogs(PayloadPool& pool) : account_(pool) {}
  ~Hogs() { let_go(); }

  void fill() {
    do {
      all_.push_back(std::make_unique<Hog>(account_));
    } while (all_.back()->take(4096, all_.back()->lease));
  }
  void let_go() {
    for (const auto& hog : all_)
      if (hog->lease.cell != nullptr) hog->give_back(hog->lease);
    all_.clear();
  }
  bool any() const { return !all_.empty(); }

 private:
  struct Hog final : PayloadPool::Lessee {
    using Lessee::Lessee;
    void on_memory(const PayloadPool::Lease&) noexcept override {}
    PayloadPool::Lease lease;
  };
  PayloadPool::Account account_;
  std::vector<std::unique_ptr<Hog>> all_;
};

struct World {
  World(std::uint64_t seed, sim::Faults faults, Manners manners)
      : io(seed, faults, [] { return nullptr; }) {
    const iouring::Socket socket =
        io.connected(std::make_unique<Guest>(seed, manners, volume.data.size(), seen));
    session = std::make_unique<Session>(Service{.io = io,
                                                .name = "disk",
                                                .volume = volume,
                                                .stats = stats,
                                                .stalls = stalls,
                                                .memory = memory},
                                        ending, socket);
  }

  // Runs until the session is over. `errors`: how many of the volume's answers are EIO.
  void run(double errors, unsigned unknown_for, unsigned hogged_for) {
    Hogs hogs(pool);
    if (hogged_for > 0) hogs.fill();
    volume.known = unknown_for == 0;
    session->start();
    for (unsigned step = 1; !session->over(); ++step) {
      REQUIRE(step < 2'000'000);
      bool moved = io.step();
      if (step == unknown_for || (!moved && !volume.known)) {
        volume.known = true;
        session->on_info();
        moved = true;
      }
      if (hogs.any() && (step >= hogged_for || !moved)) {
        hogs.let_go();
        moved = true;
      }
      if (!volume.waiting.empty() && (!moved || io.chance(0.3))) {
        answer(io.pick(volume.waiting.size()), errors);
        moved = true;
      }
      REQUIRE(moved);  // Somebody would wait for ever.
      most_in_flight = std::max<std::size_t>(most_in_flight, stats.in_flight);
    }
    hogs.let_go();
    while (io.step()) {
    }
  }

  void answer(std::size_t which, double errors) {
    volume.answer(which, io.chance(errors) ? EIO : 0);
  }

  tests::MemoryVolume volume{256 << 10};
  Seen seen;
  sim::SimIo io;
  stats::DiscStats stats;
  stats::StallLog log;
  stats::Stalls stalls{std::chrono::milliseconds(20), log};
  PayloadPool pool{io, 0};
  PayloadPool::Account memory{pool};
  Ending ending;
  std::unique_ptr<Session> session;
  std::size_t most_in_flight = 0;
};

void check_clean(const World& world) {
  for (const auto& complaint : world.seen.complaints) FAIL_CHECK("the guest: " << complaint);
  for (const auto& complaint : world.volume.complaints) FAIL_CHECK("the volume: " << complaint);
  CHECK(world.ending.gone == 1);
  CHECK(world.ending.times == 1);
  CHECK(world.volume.waiting.empty());
  CHECK(world.pool.whole());
  CHECK(world.stats.in_flight == 0);
  CHECK(world.io.sockets_open() == 0);
  CHECK(world.most_in_flight <= Session::in_flight_max);
}

}  // namespace

TEST_CASE("Every request is answered once, with the right data", "[export][sim]") {
  const auto seed = GENERATE(range(0u, seeds(600)));
  CAPTURE(seed);
  Manners manners;
  manners.structured = seed % 3 != 0;
  manners.nonsense = seed % 2 == 0 ? 0.05 : 0.0;
  World world(seed, {.partial = 0.5, .stall = seed % 4 == 0 ? 0.9 : 0.3}, manners);
  world.run(seed % 5 == 0 ? 0.1 : 0.0, seed % 7 == 0 ? 200 : 0, seed % 4 == 1 ? 2000 : 0);
  check_clean(world);
  CHECK(world.seen.finished);
  CHECK(world.seen.answered == manners.requests);
}

TEST_CASE("A session takes so many requests at a time and no more", "[export][sim]") {
  Manners manners;
  manners.requests = 1000;
  manners.window = 500;
  manners.nonsense = 0;
  World world(7, {.partial = 0.0, .stall = 0.0}, manners);
  world.run(0, 0, 0);
  check_clean(world);
  CHECK(world.seen.answered == 1000);
  CHECK(world.most_in_flight == Session::in_flight_max);
}

TEST_CASE("A connection that breaks anywhere leaves nothing behind", "[export][sim]") {
  const auto seed = GENERATE(range(0u, seeds(1000)));
  CAPTURE(seed);
  Manners manners;
  manners.structured = seed % 2 == 0;
  World world(seed, {.partial = 0.5, .reset = 0.003}, manners);
  world.run(0.05, seed % 5 == 0 ? 100 : 0, seed % 3 == 0 ? 1000 : 0);
  check_clean(world);
}

TEST_CASE("A guest that hangs up or talks nonsense ends only its session", "[export][sim]") {
  const auto seed = GENERATE(range(0u, seeds(1000)));
  CAPTURE(seed);
  Manners manners;
  manners.structured = seed % 2 == 0;
  manners.leave = seed % 2 == 0 ? 0.01 : 0.0;
  manners.garbage = seed % 2 == 1 ? 0.02 : 0.0;
  World world(seed, {.partial = 0.5}, manners);
  world.run(0.0, seed % 5 == 0 ? 100 : 0, seed % 3 == 0 ? 500 : 0);
  check_clean(world);
}

TEST_CASE("What a guest waits for memory counts as its request's time", "[export][sim]") {
  Manners manners;
  manners.nonsense = 0;
  World world(3, {.partial = 0.0, .stall = 0.0}, manners);
  Hogs hogs(world.pool);
  hogs.fill();
  world.session->start();
  while (world.io.step()) {
  }
  const std::size_t before = world.volume.waiting.size();
  REQUIRE(before < manners.requests);
  REQUIRE(world.stats.in_flight < Session::in_flight_max);
  const auto then = world.io.now();
  world.io.advance(std::chrono::seconds(1));
  hogs.let_go();
  while (world.io.step()) {
  }
  REQUIRE(world.volume.waiting.size() > before);
  CHECK(world.volume.waiting[before]->arrived <= then);
  while (!world.session->over())
    if (!world.io.step()) {
      REQUIRE(!world.volume.waiting.empty());
      world.answer(0, 0.0);
    }
  check_clean(world);
}

TEST_CASE("A session that is told to end waits for what the volume has", "[export][sim]") {
  const auto seed = GENERATE(range(0u, seeds(100)));
  CAPTURE(seed);
  World world(seed, {}, {});
  world.session->start();
  for (unsigned step = 0; world.volume.waiting.empty(); ++step) {
    REQUIRE(step < 100'000);
    world.io.step();
  }
  world.session->end();
  while (world.io.step()) {
  }
  CHECK(!world.session->over());
  while (!world.volume.waiting.empty()) world.answer(0, 0.0);
  while (world.io.step()) {
  }
  CHECK(world.session->over());
  check_clean(world);
}
