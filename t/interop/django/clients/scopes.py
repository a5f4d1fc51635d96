from oauth2_provider.scopes import SettingsScopes


class OwnScopes(SettingsScopes):

    def get_available_scopes(self, application=None, request=None, *args,
                             **kwargs):
        return application.scope.split()

    get_default_scopes = get_available_scopes
