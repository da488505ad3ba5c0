#include "head/base/symbols.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <elfutils/libdwfl.h>
#include <memory>
#include <optional>

namespace head::symbols {

namespace {

constexpr std::string_view maps_begin = "\nmaps:\n";
constexpr std::string_view build_begin = "\nbuild id ";

struct EndSession {
  void operator()(Dwfl* session) const noexcept { ::dwfl_end(session); }
};
using Session = std::unique_ptr<Dwfl, EndSession>;

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

// What was mapped where, read from files as they are now.
Session open_session(std::string_view maps) {
  static char* debug_path = nullptr;
  static const Dwfl_Callbacks callbacks{.find_elf = ::dwfl_linux_proc_find_elf,
                                        .find_debuginfo = ::dwfl_standard_find_debuginfo,
                                        .section_address = nullptr,
                                        .debuginfo_path = &debug_path};
  Session session(::dwfl_begin(&callbacks));
  if (!session || maps.empty()) return nullptr;
  const std::unique_ptr<std::FILE, CloseFile> text(
      ::fmemopen(const_cast<char*>(maps.data()), maps.size(), "r"));
  if (!text || ::dwfl_linux_proc_maps_report(session.get(), text.get()) != 0) return nullptr;
  ::dwfl_report_end(session.get(), nullptr, nullptr);
  return session;
}

std::string build_id_of(Dwfl_Module* module) {
  GElf_Addr address = 0;
  GElf_Addr bias = 0;
  ::dwfl_module_getelf(module, &bias);
  const unsigned char* bytes = nullptr;
  const int size = ::dwfl_module_build_id(module, &bytes, &address);
  std::string text;
  for (int i = 0; i < size; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::string demangled(const char* name) {
  int status = 0;
  char* plain = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string text = status == 0 ? plain : name;
  std::free(plain);
  return text;
}

// "" where nothing is known.
std::string describe(Dwfl* session, GElf_Addr address) {
  // An address returns behind the call that is meant.
  Dwfl_Module* const module = ::dwfl_addrmodule(session, address - 1);
  if (module == nullptr) return "";
  GElf_Off offset = 0;
  GElf_Sym symbol;
  const char* const name =
      ::dwfl_module_addrinfo(module, address - 1, &offset, &symbol, nullptr, nullptr, nullptr);
  const char* const file =
      ::dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  std::string text =
      name != nullptr ? demangled(name) : fmt::format("somewhere in {}", file ? file : "?");
  int line = 0;
  Dwfl_Line* const source = ::dwfl_module_getsrc(module, address - 1);
  const char* const path =
      source ? ::dwfl_lineinfo(source, nullptr, &line, nullptr, nullptr, nullptr) : nullptr;
  if (path != nullptr) text += fmt::format(" ({}:{})", path, line);
  return text;
}

std::optional<GElf_Addr> address_in(std::string_view line) {
  if (line.substr(0, 4) != "  0x") return std::nullopt;
  GElf_Addr address = 0;
  const auto [end, error] =
      std::from_chars(line.data() + 4, line.data() + line.size(), address, 16);
  if (error != std::errc() || end != line.data() + line.size()) return std::nullopt;
  return address;
}

// Of the build that left the report; "" where it does not say.
std::string_view build_in(std::string_view report) {
  const auto at = report.find(build_begin);
  if (at == std::string_view::npos) return "";
  const auto from = at + build_begin.size();
  return report.substr(from, report.find('\n', from) - from);
}

}  // namespace

Result<std::string, std::string> explain(std::string_view report) {
  const auto maps = report.find(maps_begin);
  if (maps == std::string_view::npos)
    return Failure{std::string("it is cut off: what was mapped where is not in it")};
  const Session session = open_session(report.substr(maps + maps_begin.size()));
  if (!session) return Failure{std::string("what it says of mapped files cannot be read")};

  const std::string_view wanted = build_in(report);
  bool found = false;
  const auto compare = [&](Dwfl_Module* module) { found = found || build_id_of(module) == wanted; };
  using Compare = decltype(compare);
  ::dwfl_getmodules(
      session.get(),
      [](Dwfl_Module* module, void**, const char*, Dwarf_Addr, void* with) {
        (*static_cast<Compare*>(with))(module);
        return static_cast<int>(DWARF_CB_OK);
      },
      const_cast<void*>(static_cast<const void*>(&compare)), 0);
  if (!wanted.empty() && !found)
    return Failure{fmt::format("the program of build {} is not there any more", wanted)};

  std::string text;
  for (std::size_t at = 0; at < maps;) {
    const std::size_t end = std::min(report.find('\n', at), maps);
    const std::string_view line = report.substr(at, end - at);
    text += line;
    if (const auto address = address_in(line)) text += " " + describe(session.get(), *address);
    text += '\n';
    at = end + 1;
  }
  return text;
}

}  // namespace head::symbols
