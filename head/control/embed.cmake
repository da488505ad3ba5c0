# Makes a C++ source of the status page, its script put into it: cmake -DOUT=FILE -P embed.cmake
cmake_minimum_required(VERSION 3.18)
file(READ ${CMAKE_CURRENT_LIST_DIR}/status.html page)
file(READ ${CMAKE_CURRENT_LIST_DIR}/status.js script)
string(REPLACE "@SCRIPT@\n" "${script}" page "${page}")
# A literal has at most 65,536 characters where compilers are strict.
string(LENGTH "${page}" length)
set(pieces "")
set(at 0)
while(at LESS length)
  string(SUBSTRING "${page}" ${at} 8000 piece)
  string(APPEND pieces "R\"page(${piece})page\"\n")
  math(EXPR at "${at} + 8000")
endwhile()
file(WRITE ${OUT}
     "#include \"head/control/status_page.hpp\"\n"
     "namespace head::control {\n"
     "const std::string_view status_page =\n${pieces};\n"
     "}\n")
