#include "netlink/table.hpp"

#include "netlink/message.hpp"
#include "netlink/parse.hpp"

#include <algorithm>
#include <cerrno>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

namespace netlink {

namespace {

constexpr int nda_protocol = 12, nda_flags_ext = 15;
constexpr std::size_t gets_max = 64;  // One dump is cheaper than more questions than this.
constexpr int dump_attempts = 4;  // While the kernel says that the table changed under the dump.

ndmsg header_for(const NeighbourKey& key, std::uint16_t state, std::uint8_t flags) {
  ndmsg header{};
  header.ndm_family = AF_INET6;
  header.ndm_ifindex = key.ifindex;
  header.ndm_state = state;
  header.ndm_flags = flags;
  return header;
}

// Each key once: a dump of a table that changes can name one twice.
void sort_by_key(std::vector<Neighbour>& entries) {
  std::sort(entries.begin(), entries.end(),
            [](const Neighbour& a, const Neighbour& b) { return a.key < b.key; });
  const auto last =
      std::unique(entries.begin(), entries.end(),
                  [](const Neighbour& a, const Neighbour& b) { return a.key == b.key; });
  entries.erase(last, entries.end());
}

// The entry is not there, or not even its interface.
bool is_absence(std::error_code error) {
  return error.value() == ENOENT || error.value() == ENODEV;
}

// What is not there is created; what is there is replaced, unless nothing ought to be there.
std::uint16_t creation(bool fresh) {
  return NLM_F_CREATE | (fresh ? NLM_F_EXCL : NLM_F_REPLACE);
}

}  // namespace

std::error_code Table::permission() {
  // A removal that does not say of what: whoever may remove is told that this is invalid.
  const auto error = socket_.request(
      [&](std::uint16_t flags, std::uint32_t sequence, std::vector<std::byte>& out) {
        Message().start(RTM_DELNEIGH, flags, sequence, header_for({}, 0, 0)).append_to(out);
      });
  const bool refused = error.value() == EPERM || error.value() == EACCES;
  return refused ? error : std::error_code();
}

std::error_code Table::dump(std::vector<Neighbour>& into, int ifindex) {
  ndmsg header{};
  header.ndm_family = AF_INET6;
  std::error_code error;
  for (int attempt = 0; attempt < dump_attempts; ++attempt) {
    into.clear();
    error = socket_.query(
        [&](std::uint32_t sequence, std::vector<std::byte>& out) {
          Message message;
          message.start(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, sequence, header);
          if (ifindex != 0) message.put(NDA_IFINDEX, static_cast<std::uint32_t>(ifindex));
          message.append_to(out);
        },
        true,
        [&](std::uint16_t type, Bytes payload) {
          if (type != RTM_NEWNEIGH) return;
          const auto found = parse_neighbour(payload);
          // Kernels without strict checking ignore the filter.
          if (found && (ifindex == 0 || found->key.ifindex == ifindex)) into.push_back(*found);
        });
    if (error.value() != EAGAIN) break;
  }
  sort_by_key(into);
  return error;
}

std::error_code Table::get(const NeighbourKey& key, Neighbour& into) {
  std::optional<Neighbour> found;
  const auto error = socket_.query(
      [&](std::uint32_t sequence, std::vector<std::byte>& out) {
        Message()
            .start(RTM_GETNEIGH, NLM_F_REQUEST, sequence, header_for(key, 0, 0))
            .put(NDA_DST, key.address)
            .append_to(out);
      },
      false,
      [&](std::uint16_t type, Bytes payload) {
        if (type == RTM_NEWNEIGH) found = parse_neighbour(payload);
      });
  if (error) return error;
  if (!found) return system_error(ENOENT);
  into = *found;
  return {};
}

std::error_code Table::get(std::span<const NeighbourKey> keys, std::vector<Neighbour>& into) {
  if (keys.size() > gets_max) {
    if (const auto error = dump(into)) return error;
    std::vector<NeighbourKey> sorted(keys.begin(), keys.end());
    std::sort(sorted.begin(), sorted.end());
    std::erase_if(into, [&](const Neighbour& entry) {
      return !std::binary_search(sorted.begin(), sorted.end(), entry.key);
    });
    return {};
  }
  into.clear();
  for (const NeighbourKey& key : keys) {
    Neighbour found;
    const std::error_code error = get(key, found);
    if (!error)
      into.push_back(found);
    else if (!is_absence(error))
      return error;
  }
  sort_by_key(into);
  return {};
}

std::vector<EntryError> Table::set(std::span<const Entry> entries) {
  Message message;
  return socket_.batch(entries.size(), [&](std::size_t i, std::uint16_t flags,
                                           std::uint32_t sequence, std::vector<std::byte>& out) {
    const Entry& entry = entries[i];
    message
        .start(RTM_NEWNEIGH, flags | creation(entry.fresh), sequence,
               header_for(entry.key, entry.state, entry.exempt ? ntf::ext_learned : 0))
        .put(NDA_DST, entry.key.address)
        .put(NDA_LLADDR, entry.lladdr)
        .put(nda_protocol, our_protocol);
    const std::uint32_t extended =
        (entry.validated ? ntf::ext_validated : 0) | (entry.managed ? ntf::ext_managed : 0);
    if (extended != 0) message.put(nda_flags_ext, extended);
    message.append_to(out);
  });
}

std::vector<EntryError> Table::remove(std::span<const NeighbourKey> keys) {
  Message message;
  auto errors = socket_.batch(
      keys.size(),
      [&](std::size_t i, std::uint16_t flags, std::uint32_t sequence, std::vector<std::byte>& out) {
        message.start(RTM_DELNEIGH, flags, sequence, header_for(keys[i], 0, 0))
            .put(NDA_DST, keys[i].address)
            .append_to(out);
      });
  std::erase_if(errors, [](const EntryError& failed) { return is_absence(failed.error); });
  return errors;
}

std::vector<EntryError> Table::resolve(std::span<const Question> questions) {
  Message message;
  return socket_.batch(questions.size(), [&](std::size_t i, std::uint16_t flags,
                                             std::uint32_t sequence, std::vector<std::byte>& out) {
    const Question& question = questions[i];
    message
        .start(RTM_NEWNEIGH, flags | creation(question.fresh), sequence,
               header_for(
                   question.key, nud::none,
                   static_cast<std::uint8_t>(ntf::use | (question.exempt ? ntf::ext_learned : 0))))
        .put(NDA_DST, question.key.address)
        .put(nda_protocol, our_protocol)
        .append_to(out);
  });
}

std::error_code dump(std::vector<Neighbour>& into, int ifindex) {
  return Table().dump(into, ifindex);
}

}  // namespace netlink
