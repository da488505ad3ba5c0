// The state directory: which discs this head has, kept across restarts and power cuts.
//
//   STATE/discs.json      {"format": "headstart discs", "version": 1, "discs": [...],
//                          "shapes": [...], "proofs": [...]}
//   STATE/discs.json.new  the next one while it is written; a leftover means nothing
//   STATE/lock            held (flock) by the one daemon that owns the directory
//
// A change is durable when put() or remove() returns: the new file is written and synced, takes the
// old one's place by rename(2), and the directory is synced. Whoever comes while a write is under
// way shares the next one. A file that cannot be understood is refused and never written over.
//
// A disc's shape is what its tail has offered, so that a headd that begins while the tail is away
// can tell guests. A proof is where it was shown to be, against what was told of it, so that the
// next headd goes on there. Nobody writes these by hand. A shape is kept for as long as the disc
// has the same URI, a proof for as long as that is so and nothing else is told.
#pragma once

#include "head/catalogue/disc_spec.hpp"
#include "head/nbd/export_info.hpp"
#include "iouring/unique_fd.hpp"

#include <array>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace head::catalogue {

// One sentence that names the file and the way out.
struct StoreError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct StoredDisc {
  DiscSpec spec;
  std::optional<nbd::ExportInfo> shape{};
  std::optional<netlink::Mac> proven{};

  bool operator==(const StoredDisc&) const = default;
};
using StoredDiscs = std::map<std::string, StoredDisc>;  // By name.

// What the tail of the disc of that name and URI has offered.
struct Shape {
  std::string name;
  nbd::Uri uri;
  nbd::ExportInfo info;
};

// What somebody said of a disc's link-layer address.
struct Told {
  std::optional<netlink::Mac> lladdr{};
  std::uint64_t generation = 0;

  bool operator==(const Told&) const = default;
};

inline Told told_of(const DiscSpec& spec) noexcept {
  return {.lladdr = spec.lladdr, .generation = spec.generation};
}

// Where the disc of that name was proven to be, against what was told; nowhere where that is
// absent.
struct Proof {
  std::string name;
  Told told;
  std::optional<netlink::Mac> lladdr{};
};

// The text of discs.json and back. The error says what is wrong, without the file's name.
std::string to_text(const StoredDiscs& discs);
Result<StoredDiscs, std::string> parse_text(std::string_view text);

class Store {
 public:
  // Makes the directory when it is missing (its parent must exist). Throws StoreError.
  explicit Store(std::filesystem::path directory);
  virtual ~Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Any thread may call these.
  std::vector<DiscSpec> discs() const;  // Sorted by name.
  std::optional<nbd::ExportInfo> shape(const std::string& name) const;
  // Where a disc of that name, of which this is told, was proven to be.
  std::optional<netlink::Mac> proven(const DiscSpec& spec) const;

  // Adds, or replaces those of the same names. Throws StoreError when it could not be made durable;
  // then nothing has changed.
  virtual void put(std::span<const DiscSpec> specs);
  // Names that are not there are passed over. Throws as put() does.
  virtual void remove(std::span<const std::string> names);
  // Those of discs that are not there are passed over. Writes nothing where nothing has changed.
  // Throws as put() does.
  void remember(std::span<const Shape> shapes);
  // The same. A proof against something else than what is told now says nothing.
  void prove(std::span<const Proof> proofs);

  // The next headd begins with the file. Where it is gone it is written again. Throws StoreError
  // when it cannot be, and when somebody else has taken a disc of ours out of it, or to another
  // tail: what is kept of it would be lost, or written there.
  void prepare_for_next();

  // What the file says now of the discs, if somebody else wrote it since we did, an operator's
  // editor say; otherwise none. Nothing of it is taken over: put() does. Throws StoreError when it
  // cannot be understood.
  StoredDiscs edited() const;

  // The descriptor of the lock of its directory: whoever has it, too, may own the directory as
  // well.
  int owner_lock() const noexcept { return owner_lock_.fd(); }

  // How often the file has been written: fewer times than changes were made, when many came.
  std::uint64_t writes() const;

 private:
  struct Change {
    std::string name;
    std::optional<StoredDisc> before;
    std::optional<StoredDisc> after;
  };
  // Changes that one write makes durable together.
  struct Batch {
    std::vector<Change> changes;
    bool done = false;
    std::string failure;
  };

  void commit(std::unique_lock<std::mutex>& lock);
  void write_batch(std::unique_lock<std::mutex>& lock);
  void apply(const std::string& name, const std::optional<StoredDisc>& disc);
  void undo(const Batch& batch);
  // Which file it is: another one has another.
  using Identity = std::array<std::int64_t, 4>;
  static Identity identity_of(const iouring::UniqueFd& fd) noexcept;
  Identity write_file(std::string_view text) const;

  const std::filesystem::path directory_;
  const std::filesystem::path file_;
  iouring::UniqueFd owner_lock_;

  mutable std::mutex lock_;
  std::condition_variable written_;
  StoredDiscs discs_;
  std::shared_ptr<Batch> open_ = std::make_shared<Batch>();  // What the next write will hold.
  bool writing_ = false;
  Identity ours_{};  // The file as we last read or wrote it.
  std::uint64_t writes_ = 0;
};

}  // namespace head::catalogue
