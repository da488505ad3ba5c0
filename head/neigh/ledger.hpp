// Which entries are kept, what became of each, and what is to be done next and when: every decision
// of the keeper, and none of its sockets. Time is a parameter.
//
//                        observe()                  due()
//   the kernel's word ───────────────► a hold ───────────────► write, resolve, remove
//                                        ▲                         │
//                                        └─ written(), refused(), ─┘
//                                             contested()
#pragma once

#include "head/neigh/binding.hpp"
#include "head/neigh/disputes.hpp"
#include "head/neigh/inquiry.hpp"
#include "head/neigh/ordered.hpp"
#include "head/neigh/pacer.hpp"
#include "head/neigh/silence.hpp"
#include "head/neigh/snapshot.hpp"
#include "head/neigh/trust.hpp"
#include "head/neigh/turns.hpp"
#include "netlink/neighbour.hpp"
#include "netlink/route.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace head::neigh {

enum class Phase : std::uint8_t {
  unseen,     // Just wanted.
  writing,    // To be written, or written and not acknowledged yet.
  held,       // In the table as it should be.
  resolving,  // The network is being asked; nobody knows the link-layer address.
  failed,     // The known link-layer address does not answer.
  foreign,    // Somebody else's entry is there.
};

enum class Agenda : std::uint8_t { none, write, ask };

// There are as many as there are neighbours: its members are in an order that leaves no gaps.
struct Hold {
  Binding binding;
  Instant due{};  // While on an agenda.
  Instant repaired{};
  Instant doubted{};        // Since when, or when it last had its turn.
  Instant asked{};          // Since when the held address has not answered; 0: it has, or is not.
  std::uint32_t users = 0;  // Discs.
  std::uint32_t repairs = 0;
  std::uint16_t state = 0;  // As last seen.
  std::uint16_t write_state = netlink::nud::stale;
  std::uint16_t error = 0;            // Why the kernel refused the last write; an errno.
  std::optional<netlink::Mac> told;   // By the catalogue or an operator, the newest,
  std::uint64_t told_generation = 0;  // of this generation.
  Phase phase = Phase::unseen;
  Agenda agenda = Agenda::none;
  std::uint8_t repairs_in_a_row = 0;
  std::uint8_t attempts = 0;   // Since it last answered.
  bool installed : 1 = false;  // Was in the table as it should be, once.
  bool moving : 1 = false;     // Its discs are to be told as soon as it is written.
  bool present : 1 = false;    // There was an entry, anybody's, when last seen or written.
  bool answered : 1 = false;   // Somebody at `lladdr` answered, once.
  bool doubtful : 1 = false;   // To be probed when its turn comes.
  bool unwritten : 1 = false;  // Told of with a newer generation, and not in the table yet.
};

// What the kernel is to be asked for now.
struct Due {
  std::vector<netlink::Entry> write;
  std::vector<netlink::Question> resolve;
  std::vector<netlink::NeighbourKey> remove;
  std::vector<Solicitation> solicit;
  bool empty() const noexcept {
    return write.empty() && resolve.empty() && remove.empty() && solicit.empty();
  }
};

class Ledger {
 public:
  struct Tuning {
    std::chrono::milliseconds coalesce{2};
    Pacer repairs{50'000, 200'000};
    Pacer resolutions{500, 100};
    bool validated = false;  // Ask for NTF_EXT_EXT_VALIDATED.
    bool exempt = true;      // Ask for NTF_EXT_LEARNED.
    bool solicits = false;   // Due::solicit is carried out; else the kernel is made to ask.
    bool quietens = false;   // It asks for nobody at a silent host.
    Trust trust = Trust::catalogue_unless_dead;
    std::vector<netlink::Prefix> trust_prefixes{};  // Where that is so; none: everywhere.
  };
  // Who has not answered for so long, asked several times, is dead as far as that address goes.
  static constexpr std::chrono::milliseconds dead_after{150};
  // A claim against a pin that was refuted is not listened to for so long; each next one for twice
  // as long, at most for firm_most.
  static constexpr std::chrono::seconds firm_least{10}, firm_most{600};

  explicit Ledger(Tuning tuning) : tuning_(std::move(tuning)) {}

  using Item = std::pair<netlink::NeighbourKey, Hold>;
  struct KeyOf {
    const netlink::NeighbourKey& operator()(const Item& item) const noexcept { return item.first; }
  };
  using Holds = Ordered<Item, KeyOf>;

  const Holds& holds() const noexcept { return holds_; }
  const Hold* find(const netlink::NeighbourKey& key) const noexcept;
  // Nullptr where nobody ever contradicted what is held.
  const Dispute* dispute(const netlink::NeighbourKey& key) const noexcept {
    return disputes_.find(key);
  }
  bool was_claimed_since(const netlink::NeighbourKey& key, Instant when) const noexcept {
    return disputes_.claimed_since(key, when);
  }
  // Where it is held to be because the wire says so, against a pin; nothing for all others.
  std::optional<netlink::Mac> rumour(const netlink::NeighbourKey& key) const noexcept;
  std::vector<netlink::Desired> desired() const;  // By key.
  Trust trust_in(const netlink::NeighbourKey& key) const noexcept;
  // Told with a generation, and not overruled by the wire. And is it held firm: is nothing that is
  // said on the wire of any consequence now?
  bool is_pinned(const netlink::NeighbourKey& key) const noexcept;
  bool is_firm(const netlink::NeighbourKey& key) const noexcept;
  // How many holds have an entry in the table, whatever its state and whoever made it; and those
  // whose removal is still to come.
  std::size_t entries() const noexcept;
  // Of what it decides; what the keeper does besides is counted there.
  const Counters& counters() const noexcept { return counters_; }

  // One more disc needs this neighbour. True when it is new: the caller tells with observe() what
  // the kernel has. What is claimed for a hold that is there already is weighed as by claim().
  // `told`: of that, what the catalogue or an operator has said; else that is all of it.
  bool add(const netlink::NeighbourKey& key, const Binding& claim, Instant now,
           const std::optional<Binding>& told = {});
  // From now on entries are written without NTF_EXT_VALIDATED.
  void forgo_validated() noexcept { tuning_.validated = false; }
  bool validated() const noexcept { return tuning_.validated; }

  // Somebody says, of a neighbour that is held, which link-layer address it has. What is right then
  // is written; a claim that is overruled is a conflict, and counted.
  Ruling claim(const netlink::NeighbourKey& key, const Binding& claim, Instant now);
  // One disc less; the last one has the entry removed, unless it is somebody else's.
  void release(const netlink::NeighbourKey& key);
  // An entry of ours that nobody needs.
  void remove(const netlink::NeighbourKey& key) { removals_.push_back(key); }

  // What the kernel has for a key: nullptr for nothing. Keys nobody needs are ignored.
  void observe(const netlink::NeighbourKey& key, const netlink::Neighbour* actual, Instant now);
  // All there is, by key: every hold is compared. Returns how many were not as they should be.
  std::size_t settle(std::span<const netlink::Neighbour> actual, Instant now);

  // The kernel asks who has the address, and a packet waits. What is known is written at once,
  // however lately it was written before; true where it is.
  bool asked(const netlink::NeighbourKey& key, const netlink::Neighbour& actual, Instant now);

  // A disc has long waited for an answer although its entry is usable: perhaps the address is at
  // another host now, and nobody said so. It is asked, now and then.
  void suspect(const netlink::NeighbourKey& key, const netlink::Neighbour& actual, Instant now);
  // The same, by the kernel: what is as it should be is probed, now and then.
  void doubt(const netlink::NeighbourKey& key, const netlink::Neighbour& actual, Instant now);

  // A connection to a disc there was opened then, whoever answers questions.
  void reached(const netlink::NeighbourKey& key, Instant when, Instant now);

  // Somebody has answered a question. False: none of ours is open for that address.
  bool heard(const netlink::NeighbourKey& key, const netlink::Mac& who, Instant now);
  // More answers came than we could hear: whoever seems silent may not be.
  void heard_too_little() { inquiries_.begin_anew(); }

  // What is to be done now, as far as pacing allows. The caller does it, then says how it went.
  Due due(Instant now);
  void written(const netlink::NeighbourKey& key);  // Or asked for.
  void refused(const netlink::NeighbourKey& key, int error, Instant now);
  void unasked(const Solicitation& question, Instant now);  // It could not be sent.
  // Something was there where nothing ought to be; `actual` is what is there now.
  void contested(const netlink::NeighbourKey& key, const netlink::Neighbour* actual, Instant now);

  // Holds that are at another link-layer address than before, or are there again, since the last
  // call: a TCP connection that was made before has nothing to say there, or says it late.
  std::vector<netlink::NeighbourKey> take_moved() { return std::exchange(moved_, {}); }

  // Holds that are elsewhere than before, or were told to be, since the last call: before that is
  // written.
  std::vector<netlink::NeighbourKey> take_rebound() { return std::exchange(rebound_, {}); }

  // Holds that are elsewhere than was told, or that somebody else claims, since the last call: once
  // when that began, and again when somebody there answered.
  std::vector<netlink::NeighbourKey> take_contradicted() {
    return std::exchange(contradicted_, {});
  }

  // Holds whose entry was gone or wrong and is as it should be again, since the last call: what was
  // sent meanwhile may be lost.
  std::vector<netlink::NeighbourKey> take_returned() { return std::exchange(returned_, {}); }

  // The interface is usable again: what the kernel refused there is tried again at once.
  void forgive(int ifindex, Instant now);

  // Holds that were found at another host by asking, since the last call: until then the entry
  // pointed to the wrong one.
  std::vector<netlink::NeighbourKey> take_found() { return std::exchange(found_, {}); }

  // Holds that have answered us where they are held to be now, since the last call.
  std::vector<netlink::NeighbourKey> take_confirmed() { return std::exchange(confirmed_, {}); }
  // Hosts that have fallen silent, or answer again, since the last call; and whether one is silent.
  std::vector<Host> take_silent_changed() { return std::exchange(silent_changed_, {}); }
  // As if it had fallen silent just now, where it is: somebody is new there.
  void tell_silence(const netlink::NeighbourKey& key);
  bool is_silent(const Host& host) const noexcept { return silences_.is_silent(host); }
  std::size_t silent_hosts() const noexcept { return silences_.count(); }

  // When due() has something again.
  std::optional<Instant> next(Instant now);

  // Holds whose discs have nothing more to wait for since the last call: they became usable (held
  // or foreign), or we are not permitted to make them so.
  std::vector<netlink::NeighbourKey> take_settled() { return std::exchange(settled_, {}); }

 private:
  using Queue = Turns<netlink::NeighbourKey>;

  netlink::Verdict judge(Item& item, const netlink::Neighbour* actual, Instant now, bool arrival);
  void learn(Item& item, const netlink::Judgement& judged, Instant now, bool arrival);
  Ruling weigh(Item& item, const Binding& claim, Instant now);
  // ledger_pins.cpp
  bool is_pinned(const Item& item) const noexcept;
  bool is_firm(const Item& item) const noexcept;
  bool may_leave(const Item& item, const netlink::Neighbour& actual, Instant now) const noexcept;
  void challenge(Item& item, const netlink::Mac& claimed, Instant now);
  bool may_be_firm(const Item& item) const noexcept;
  void ask_held(Item& item, Instant now);
  void write_as(Item& item, std::uint16_t state, Instant at);
  void note_claim(Item& item, const netlink::Mac& claimed, Instant now);
  bool hear_held(Item& item, const netlink::Neighbour& actual, Instant now);
  void soften_late(Instant now);
  Ruling hear(Item& item, const netlink::Mac& claimed, Instant now);
  void tell_contradiction(const Item& item, Instant now);
  void break_down(Item& item, const netlink::Neighbour* actual, Instant now);
  void enter(Item& item, Phase phase);
  void repair(Item& item, std::uint16_t state, Instant now, bool arrival);
  void schedule(Item& item, Agenda agenda, Instant at);
  void unschedule(Item& item);
  Queue& queue(Agenda agenda) { return agenda == Agenda::write ? writes_ : asks_; }
  auto still_on(Agenda agenda) const {
    return [this, agenda](const Queue::Turn& turn) {
      const Hold* hold = find(turn.second);
      return hold && hold->agenda == agenda && hold->due == turn.first;
    };
  }
  auto still_doubted() const {
    return [this](const Queue::Turn& turn) {
      const Hold* hold = find(turn.second);
      return hold && hold->doubtful && hold->doubted == turn.first;
    };
  }
  // The soonest hold of an agenda, or in doubt, or nullptr.
  Item* first(Agenda agenda);
  Item* first_doubted();
  void take(Item& first);
  // ledger_inquiries.cpp
  bool inquire(Item& item, Inquiry::Manner manner, Instant now);
  Inquiry::Manner manner_for(const Item& item) const noexcept;
  Inquiry::Manner manner_with_others(const Item& item) const noexcept;
  void ask_hosts(Instant now, Due& due);
  const Item* next_at(const Host& host, const netlink::Ip6& after) const;
  void quieten(const Host& host, Instant now);
  void end_silence(const Host& host, Instant now);
  bool is_quiet(const Item& item) const noexcept;
  void collect_solicitations(Instant now, Due& due);
  void conclude(Item& item, const Inquiry& inquiry, Finding finding, Instant now);
  void confirm(Item& item, Instant now);
  void follow(Item& item, const netlink::Mac& where, Instant now);
  void leave_to_kernel(Item& item, Instant now);
  void note_left(const netlink::NeighbourKey& key, const netlink::Mac& left, Instant now);
  void suspect_others(const Host& host, Instant now);

  void tell_late(Instant now);
  void collect_writes(Instant now, Due& due);
  void collect_asks(Instant now, Due& due);
  void collect_doubted(Instant now, Due& due);

  Tuning tuning_;
  Holds holds_;
  Disputes disputes_;
  Inquiries inquiries_;
  Silences silences_;
  Queue writes_, asks_, doubts_;
  std::vector<netlink::NeighbourKey> removals_;
  std::vector<netlink::NeighbourKey> settled_;
  std::vector<netlink::NeighbourKey> moved_;
  std::vector<netlink::NeighbourKey> rebound_;
  std::vector<netlink::NeighbourKey> contradicted_;
  std::vector<netlink::NeighbourKey> returned_;
  std::vector<netlink::NeighbourKey> found_;
  std::vector<netlink::NeighbourKey> confirmed_;
  std::vector<Host> silent_changed_;
  bool inquiries_first_ = false;  // Whose turn it is, where there are not enough questions for all.
  Counters counters_;
};

}  // namespace head::neigh
