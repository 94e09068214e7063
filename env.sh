# A shell with ROS, this package's workspace and its Python: `source env.sh`, in bash or zsh, from anywhere.
# What it puts on the paths is made by ./install.sh; it makes and changes nothing itself.

_placenet_root="$(cd "$(dirname "${BASH_SOURCE[0]:-${(%):-%x}}")" && pwd)"

if [ -f "$_placenet_root/.ws/devel/setup.sh" ] && [ -f "$_placenet_root/.venv/bin/activate" ]; then
    if [ -n "${ZSH_VERSION:-}" ]; then
        source "$_placenet_root/.ws/devel/setup.zsh"
    else
        source "$_placenet_root/.ws/devel/setup.bash"
    fi
    source "$_placenet_root/.venv/bin/activate"
    # `python -m training.<command>` from any folder. Behind the workspace, which holds the generated messages.
    case ":$PYTHONPATH:" in
        *":$_placenet_root:"*) ;;
        *) export PYTHONPATH="$PYTHONPATH:$_placenet_root" ;;
    esac
    unset _placenet_root
else
    echo "env.sh: set-up has not been run: run $_placenet_root/install.sh first" >&2
    unset _placenet_root
    return 1
fi
