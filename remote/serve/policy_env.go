package serve

// reservedEnv lists the variables that a configuration file cannot accept from a
// caller, because one of them would turn "may run this program" into "may run any program",
// or because it is for the daemon to set it. It follows initial_badenv_table of
// sudo's sudoers plugin, the ENVIRONMENT sections of the loaders and interpreters, and
// the manuals of common tools. It cannot be complete: a program may read any
// variable as a command, which is why nothing but defaultEnv is accepted unasked.
var reservedEnv = []struct{ pattern, why string }{
	{"PATH", setHere},
	{"HOME", setHere},
	{"PWD", setHere},
	{"OLDPWD", setHere},
	{"USER", setHere},
	{"LOGNAME", setHere},
	{"SHELL", setHere},
	{"RPIPE_*", setHere},

	{"LD_*", loadsCode}, // ld.so(8)
	{"LDR_*", loadsCode},
	{"_RLD*", loadsCode},
	{"DYLD_*", loadsCode}, // dyld(1)
	{"LIBPATH", loadsCode},
	{"SHLIB_PATH", loadsCode},
	{"GCONV_PATH", loadsCode}, // iconv_open(3)
	{"GETCONF_DIR", loadsCode},
	{"GLIBC_TUNABLES", loadsCode},
	{"LOCPATH", loadsCode}, // locale(7): message catalogues hold format strings
	{"NLSPATH", loadsCode},
	{"PATH_LOCALE", loadsCode},
	{"KRB5_*", redirects},      // kerberos(7)
	{"HOSTALIASES", redirects}, // hostname(7), resolv.conf(5)
	{"LOCALDOMAIN", redirects},
	{"RES_OPTIONS", redirects},
	{"RESOLV_*", redirects},

	{"IFS", shellReads}, // sh(1), bash(1), zsh(1)
	{"ENV", shellReads},
	{"CDPATH", shellReads},
	{"GLOBIGNORE", shellReads},
	{"PS4", shellReads},
	{"PROMPT_COMMAND", shellReads},
	{"SHELLOPTS", shellReads},
	{"BASH*", shellReads},
	{"FPATH", shellReads},
	{"ZDOTDIR", shellReads},
	{"NULLCMD", shellReads},
	{"READNULLCMD", shellReads},

	{"PERL*", loadsCode}, // perlrun(1)
	{"PYTHON*", loadsCode},
	{"RUBY*", loadsCode},
	{"GEM_*", loadsCode},
	{"BUNDLE_*", loadsCode},
	{"NODE_*", loadsCode},
	{"LUA_*", loadsCode},
	{"TCL*", loadsCode},
	{"R_*", loadsCode},
	{"PHPRC", loadsCode},
	{"PHP_INI_SCAN_DIR", loadsCode},
	{"CLASSPATH", loadsCode},
	{"JAVA_TOOL_OPTIONS", loadsCode},
	{"JDK_JAVA_OPTIONS", loadsCode},
	{"_JAVA_OPTIONS", loadsCode},
	{"AWKPATH", loadsCode}, // gawk(1)
	{"AWKLIBPATH", loadsCode},
	{"OPENSSL_*", loadsCode},
	{"TERMINFO*", loadsCode}, // terminfo(5)
	{"TERMCAP", loadsCode},
	{"TERMPATH", loadsCode},
	{"MAGIC", loadsCode}, // file(1)

	{"EDITOR", namesCommand},
	{"VISUAL", namesCommand},
	{"PAGER", namesCommand},
	{"MANPAGER", namesCommand},
	{"BROWSER", namesCommand},
	{"LESS*", namesCommand}, // less(1): LESS itself takes +!command
	{"GIT_*", namesCommand}, // git(1)
	{"SSH_*", namesCommand},
	{"RSYNC_*", namesCommand},
	{"CVS_RSH", namesCommand},
	{"TAR_OPTIONS", namesCommand}, // tar: --to-command, --use-compress-program
	{"MAKEFLAGS", namesCommand},
	{"MAKEFILES", namesCommand},
	{"GNUMAKEFLAGS", namesCommand},
}

// Why a variable is reserved, as the middle of a sentence.
const (
	setHere      = "it is for the daemon to set"
	loadsCode    = "it makes programs load code or data of the caller's choice"
	redirects    = "it changes which hosts or credentials a name means"
	shellReads   = "a shell executes or splits by it"
	namesCommand = "programs execute what it names"
)
