# Completion of gscodec for fish: the program itself answers.
function __gscodec_complete --argument-names action
    env _GSCODEC_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=$action _TYPER_COMPLETE_ARGS=(commandline -cp) gscodec
end
complete --command gscodec --no-files --condition "__gscodec_complete is-args" --arguments "(__gscodec_complete get-args)"
