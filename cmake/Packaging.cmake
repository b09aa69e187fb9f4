# `cpack -G DEB`: the program, its unit, a configuration to fill in, and the documents that it makes of itself.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # `cpack` packs what is built: see `./dev package`

# turnout_document(<file> <compressed?>) -> ${TURNOUT_DOCUMENTS}/<file>
set(TURNOUT_DOCUMENTS "${PROJECT_BINARY_DIR}/documents")
file(MAKE_DIRECTORY "${TURNOUT_DOCUMENTS}")
set(documents "")
foreach(document turnout.1 turnout.toml.5 turnout.schema.json completion.bash completion.zsh completion.fish)
  set(made "${TURNOUT_DOCUMENTS}/${document}")
  add_custom_command(OUTPUT "${made}" DEPENDS turnout VERBATIM
    COMMAND "$<TARGET_FILE:turnout>" generate ${document} > "${made}")
  if(document MATCHES "\\.[15]$")
    add_custom_command(OUTPUT "${made}.gz" DEPENDS "${made}" VERBATIM COMMAND gzip -9nkf "${made}")
    set(made "${made}.gz")
  endif()
  list(APPEND documents "${made}")
endforeach()
add_custom_command(OUTPUT "${TURNOUT_DOCUMENTS}/changelog.gz" VERBATIM
  DEPENDS "${PROJECT_SOURCE_DIR}/deploy/debian/changelog"
  COMMAND gzip -9nc "${PROJECT_SOURCE_DIR}/deploy/debian/changelog" > "${TURNOUT_DOCUMENTS}/changelog.gz")
add_custom_target(documents DEPENDS ${documents} "${TURNOUT_DOCUMENTS}/changelog.gz")

set(deploy "${PROJECT_SOURCE_DIR}/deploy")
install(TARGETS turnout RUNTIME DESTINATION /usr/bin)
install(FILES "${deploy}/systemd/turnout.service" "${deploy}/systemd/turnout.socket" DESTINATION /lib/systemd/system)
install(FILES "${deploy}/debian/turnout.toml" DESTINATION /etc/turnout
  PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
install(FILES "${TURNOUT_DOCUMENTS}/turnout.1.gz" DESTINATION /usr/share/man/man1)
install(FILES "${TURNOUT_DOCUMENTS}/turnout.toml.5.gz" DESTINATION /usr/share/man/man5)
install(FILES "${TURNOUT_DOCUMENTS}/completion.bash" DESTINATION /usr/share/bash-completion/completions RENAME turnout)
install(FILES "${TURNOUT_DOCUMENTS}/completion.zsh" DESTINATION /usr/share/zsh/vendor-completions RENAME _turnout)
install(FILES "${TURNOUT_DOCUMENTS}/completion.fish" DESTINATION /usr/share/fish/vendor_completions.d
  RENAME turnout.fish)
install(FILES "${TURNOUT_DOCUMENTS}/turnout.schema.json" "${deploy}/alerts.yml" DESTINATION /usr/share/turnout)
install(FILES "${deploy}/grafana/dashboards/turnout.json" DESTINATION /usr/share/turnout/grafana)
install(FILES "${deploy}/debian/copyright" "${PROJECT_SOURCE_DIR}/README.md" DESTINATION /usr/share/doc/turnout)
install(FILES "${TURNOUT_DOCUMENTS}/changelog.gz" DESTINATION /usr/share/doc/turnout)
install(FILES "${deploy}/debian/lintian-overrides" DESTINATION /usr/share/lintian/overrides RENAME turnout)

set(CPACK_GENERATOR DEB)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "The authors of turnout <turnout@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "proxy that moves live PostgreSQL traffic between servers")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
  "Applications connect to turnout as they would to PostgreSQL. Behind it,
traffic moves from one server to another of a different major version, and
back, with a write pause of about a millisecond, without an error for any
client and without a lost commit.")
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS postgresql-client)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${deploy}/debian/postinst;${deploy}/debian/prerm;${deploy}/debian/postrm;${deploy}/debian/conffiles")
include(CPack)
